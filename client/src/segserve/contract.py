"""The wire contract: tensor names, ensemble parameters and JSON Schemas that server and client share.

This module is the one definition; both sides import it. It needs nothing but the standard library.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

CONTRACT_VERSION: Final = "1.0"
"""Major.minor. A minor version only adds fields, which readers ignore; a new major is a new ensemble name."""

IMAGE: Final = "IMAGE"
"""Input, BYTES [1]: an encoded image."""
REPORT: Final = "REPORT"
"""Output, BYTES [1]: UTF-8 JSON that ``report_schema()`` describes."""
MASK: Final = "MASK"
"""Output, BYTES [C]: one 1-bit PNG per class, in the grid of the photograph as displayed."""
PROBABILITY: Final = "PROBABILITY"
"""Output, UINT8 [C, H, W]: probability x 255 on the model grid."""
GEOMETRY: Final = "GEOMETRY"
"""Output, BYTES [1]: UTF-8 JSON that ``geometry_schema()`` describes."""
MODEL_INPUT: Final = "MODEL_INPUT"
"""Between steps, UINT8 [H, W, 3] RGB: what the network sees."""

PROBABILITY_SUFFIX: Final = "_probability"
"""``<name>_probability`` is the ensemble that gives PROBABILITY and GEOMETRY instead of REPORT and MASK."""

WARN_NO_FIELD_OF_VIEW: Final = "field_of_view_not_found"
WARN_LOW_RESOLUTION: Final = "resolution_below_model_grid"
WARN_ICC_IGNORED: Final = "icc_profile_ignored"
WARNING_CODES: Final = (WARN_NO_FIELD_OF_VIEW, WARN_LOW_RESOLUTION, WARN_ICC_IGNORED)
"""Codes known to this version. The list is open: readers ignore codes they do not know."""

MAX_LISTED_LESIONS: Final = 1000
MAX_IMAGE_BYTES: Final = 32 * 1024 * 1024

PARAMETER_CONTRACT_VERSION: Final = "contract_version"
PARAMETER_CLASSES: Final = "classes"
PARAMETER_COLORS: Final = "colors"
PARAMETER_GRID: Final = "grid"

_VERSION = re.compile(r"(\d+)\.(\d+)")
_GRID = re.compile(r"([1-9]\d*)x([1-9]\d*)")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_INCIDENT = re.compile(r"\bincident ([0-9a-f]{8,32})\b")


class ContractError(ValueError):
    """Something on the wire, or in an ensemble's configuration, is not what the contract says."""


def contract_major(version: str) -> int:
    """The major number of a ``major.minor`` version. Raises ContractError for any other text."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise ContractError(f"contract version {version!r} is not of the form major.minor")
    return int(match[1])


@dataclass(frozen=True)
class EnsembleParameters:
    """What an ensemble's ``parameters`` (config.pbtxt, string values) tell a client about the model.

    Parameters
    ----------
    contract_version
        ``contract_version``: ``major.minor``.
    classes, colors
        ``classes`` and ``colors``: comma-separated, in the order of MASK and PROBABILITY; colours are ``#rrggbb``.
    grid
        ``grid``: ``<width>x<height>`` of the model grid, in pixels.
    """

    contract_version: str
    classes: tuple[str, ...]
    colors: tuple[str, ...]
    grid: tuple[int, int]

    def __post_init__(self) -> None:
        contract_major(self.contract_version)
        if not self.classes or not all(self.classes) or len(set(self.classes)) != len(self.classes):
            raise ContractError(f"parameter classes must name each class once: {self.classes}")
        if len(self.colors) != len(self.classes):
            raise ContractError(f"{len(self.classes)} classes but {len(self.colors)} colors")
        for color in self.colors:
            if _COLOR.fullmatch(color) is None:
                raise ContractError(f"color {color!r} is not of the form #rrggbb")

    @classmethod
    def from_strings(cls, parameters: Mapping[str, str]) -> "EnsembleParameters":
        """Parse the values of an ensemble's ``parameters``. Raises ContractError when one is missing or malformed."""
        missing = [name for name in _PARAMETERS if name not in parameters]
        if missing:
            raise ContractError(f"the ensemble's parameters lack {', '.join(missing)}")
        grid = _GRID.fullmatch(parameters[PARAMETER_GRID])
        if grid is None:
            raise ContractError(f"parameter grid {parameters[PARAMETER_GRID]!r} is not of the form <width>x<height>")
        return cls(
            contract_version=parameters[PARAMETER_CONTRACT_VERSION],
            classes=_split(parameters[PARAMETER_CLASSES]),
            colors=_split(parameters[PARAMETER_COLORS]),
            grid=(int(grid[1]), int(grid[2])),
        )

    def to_strings(self) -> dict[str, str]:
        """The values as they stand in config.pbtxt."""
        return {
            PARAMETER_CONTRACT_VERSION: self.contract_version,
            PARAMETER_CLASSES: ",".join(self.classes),
            PARAMETER_COLORS: ",".join(self.colors),
            PARAMETER_GRID: f"{self.grid[0]}x{self.grid[1]}",
        }


_PARAMETERS = (PARAMETER_CONTRACT_VERSION, PARAMETER_CLASSES, PARAMETER_COLORS, PARAMETER_GRID)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(","))


def incident_message(incident_id: str) -> str:
    """The error text of a fault of our own: the id is in the server's log too, the cause only there."""
    return f"internal error, incident {incident_id}"


def find_incident(message: str) -> str | None:
    """The incident id (8 to 32 hexadecimal digits) in an error text; None means the fault is Triton's own."""
    match = _INCIDENT.search(message)
    return match[1] if match else None


def report_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of REPORT. A new dictionary each time."""
    return _schema("report")


def geometry_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of GEOMETRY. A new dictionary each time."""
    return _schema("geometry")


def _schema(kind: str) -> dict[str, Any]:
    source = resources.files("segserve") / "schemas" / f"{kind}-{CONTRACT_VERSION}.json"
    schema: dict[str, Any] = json.loads(source.read_text("utf-8"))
    return schema
