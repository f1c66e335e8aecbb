"""``classes.toml``: the classes of a new pipeline, in the order of the graph's channels."""

import colorsys
import tomllib
from pathlib import Path

from build_engines.errors import PipelineError
from segserve_server.imaging.errors import SettingsError
from segserve_server.imaging.settings import ClassSettings

_GOLDEN_TURN = 0.618034  # of the colour wheel: neighbours in the list differ most
_DEFAULT_THRESHOLD = 0.5


def read_classes(path: Path) -> tuple[ClassSettings, ...]:
    """One ``[[classes]]`` table per class: ``name``, and if wanted ``color``, ``threshold``, ``minimum_area_grid_px``.

    Raises PipelineError, naming the file and the class.
    """
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PipelineError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path.name} is not valid TOML: {error}") from error
    tables = raw.get("classes")
    if set(raw) != {"classes"} or not isinstance(tables, list) or not tables:
        raise PipelineError(f"{path.name} must hold one [[classes]] table per class and nothing else")
    found = []
    for number, table in enumerate(tables):
        defaults = {"color": _color(number), "threshold": _DEFAULT_THRESHOLD}
        try:
            found.append(ClassSettings(**(defaults | table)))
        except (SettingsError, TypeError) as error:
            raise PipelineError(f"class {number + 1} of {path.name}: {error}") from error
    return tuple(found)


def _color(number: int) -> str:
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN_TURN % 1, 0.75, 0.9)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
