"""Settings of the pure image steps, as frozen dataclasses that refuse what makes no sense."""

import re
from dataclasses import dataclass, field

from segserve_server.imaging.errors import SettingsError

_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def _require(condition: object, message: str) -> None:
    if not condition:
        raise SettingsError(message)


@dataclass(frozen=True, slots=True)
class ImageCaps:
    """Limits on an encoded image, checked from its header before any pixel is decoded."""

    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 120_000_000
    max_side: int = 30_000

    def __post_init__(self) -> None:
        _require(self.max_bytes > 0, "max_bytes must be positive")
        _require(self.max_pixels > 0, "max_pixels must be positive")
        _require(self.max_side > 0, "max_side must be positive")


@dataclass(frozen=True, slots=True)
class ClaheSettings:
    """Contrast-limited adaptive histogram equalisation of the L channel of CIE LAB.

    ``clip_limit`` and ``tiles`` are OpenCV's ``clipLimit`` and ``tileGridSize`` (a square number of tiles).
    """

    enabled: bool = True
    clip_limit: float = 2.0
    tiles: int = 8

    def __post_init__(self) -> None:
        _require(0 < self.clip_limit <= 100, f"clahe.clip_limit must be in (0, 100], not {self.clip_limit}")
        _require(1 <= self.tiles <= 64, f"clahe.tiles must be 1 to 64, not {self.tiles}")


@dataclass(frozen=True, slots=True)
class PreprocessSettings:
    """How a photograph becomes the model's input.

    ``grid``: side of the square model grid, in pixels.
    ``max_jpeg_reduction``: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, never further than this and
    never so far that its short side falls below ``grid``.
    ``crop``: ``field_of_view`` crops to the lit disc of a fundus photograph, ``full_frame`` takes the whole image.
    """

    grid: int = 1024
    max_jpeg_reduction: int = 8
    crop: str = "field_of_view"
    clahe: ClaheSettings = field(default_factory=ClaheSettings)
    caps: ImageCaps = field(default_factory=ImageCaps)

    def __post_init__(self) -> None:
        _require(32 <= self.grid <= 4096 and self.grid % 32 == 0, f"grid must be a multiple of 32, not {self.grid}")
        _require(
            self.max_jpeg_reduction in (1, 2, 4, 8),
            f"max_jpeg_reduction must be 1, 2, 4 or 8, not {self.max_jpeg_reduction}",
        )
        _require(
            self.crop in ("field_of_view", "full_frame"),
            f"crop must be 'field_of_view' or 'full_frame', not {self.crop!r}",
        )


@dataclass(frozen=True, slots=True)
class ClassSettings:
    """One class of the model: its name, its colour in overlays, and what counts as a lesion.

    ``threshold``: probability in (0, 1]; a pixel belongs to the class when its 8-bit value / 255 reaches it.
    ``minimum_area_grid_px``: lesions smaller than this, in pixels of the model grid, are dropped. The unit is the
    model grid so that the rule means the same retina area whatever the camera's resolution.
    """

    name: str
    color: str
    threshold: float
    minimum_area_grid_px: float = 0.0

    def __post_init__(self) -> None:
        _require(_NAME.fullmatch(self.name) is not None, f"class name {self.name!r} must be lower-case snake_case")
        _require(_COLOR.fullmatch(self.color) is not None, f"color {self.color!r} of {self.name} must be '#rrggbb'")
        _require(0 < self.threshold <= 1, f"threshold of {self.name} must be in (0, 1], not {self.threshold}")
        _require(self.minimum_area_grid_px >= 0, f"minimum_area_grid_px of {self.name} must not be negative")

    @property
    def threshold_level(self) -> int:
        """The smallest 8-bit probability (1 to 255) that reaches ``threshold``."""
        exact = self.threshold * 255
        level = int(exact)
        return level if level >= exact - 1e-9 else level + 1


@dataclass(frozen=True, slots=True)
class PostprocessSettings:
    """How 8-bit probabilities become masks and lesions: one entry per channel, in the model's order."""

    classes: tuple[ClassSettings, ...]
    max_listed_lesions: int = 1000

    def __post_init__(self) -> None:
        _require(len(self.classes) > 0, "at least one class is needed")
        names = [c.name for c in self.classes]
        _require(len(set(names)) == len(names), f"class names must differ: {names}")
        _require(1 <= self.max_listed_lesions <= 1000, "max_listed_lesions must be 1 to 1000")
