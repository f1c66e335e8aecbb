"""A lesion report as frozen dataclasses: strict about what it needs, deaf to what it does not know."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from segserve.contract import CONTRACT_VERSION, ContractError, contract_major
from segserve.errors import ContractMismatchError

Affine = tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True)
class Lesion:
    """One 8-connected component of a mask, in pixels of the photograph as displayed.

    Parameters
    ----------
    id
        Rank by area, from 1.
    area_px
        Pixels.
    bbox
        x, y, width, height.
    centroid
        x, y of the mean pixel centre; the centre of the first pixel is (0, 0).
    mean_probability, max_probability
        0 to 1.
    """

    id: int
    area_px: int
    bbox: tuple[int, int, int, int]
    centroid: tuple[float, float]
    mean_probability: float
    max_probability: float


@dataclass(frozen=True)
class ClassReport:
    """All that was found of one class.

    Parameters
    ----------
    name, color
        ``#rrggbb`` for drawing.
    threshold
        A pixel belongs to the class from this probability on.
    area_px
        Ones in the mask; the sum over all lesions.
    area_fraction
        ``area_px`` over the area of the field of view.
    lesion_count
        All lesions, also those that ``lesions`` leaves out.
    lesions_truncated
        Whether it leaves some out.
    lesions
        Largest first.
    """

    name: str
    color: str
    threshold: float
    area_px: int
    area_fraction: float
    lesion_count: int
    lesions_truncated: bool
    lesions: tuple[Lesion, ...]


class Classes(Mapping[str, ClassReport]):
    """Class reports by name, in the order of the masks; ``[0]`` works as well as ``["hemorrhage"]``."""

    def __init__(self, reports: tuple[ClassReport, ...]) -> None:
        self._reports = reports
        self._by_name = {report.name: report for report in reports}

    def __getitem__(self, key: str | int) -> ClassReport:
        return self._reports[key] if isinstance(key, int) else self._by_name[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._reports)

    def __repr__(self) -> str:
        return f"Classes({', '.join(self._by_name)})"


@dataclass(frozen=True)
class ModelIdentity:
    """Which model said it."""

    name: str
    version: str
    weights_sha256: str
    settings_sha256: str


@dataclass(frozen=True)
class ImageInfo:
    """The photograph: sizes in pixels as displayed and as stored, EXIF orientation 1 to 8, bits per channel."""

    width: int
    height: int
    stored_width: int
    stored_height: int
    orientation: int
    bit_depth: int
    sha256: str


@dataclass(frozen=True)
class FieldOfView:
    """The lit region: bounding box and area, in pixels of the photograph as displayed."""

    x: int
    y: int
    width: int
    height: int
    area_px: int
    found: bool


@dataclass(frozen=True)
class Report:
    """What a model found in one photograph.

    Parameters
    ----------
    geometry
        2 x 3 matrix from pixel centres of the model grid to pixel centres of the photograph.
    warnings
        Codes such as ``field_of_view_not_found``; ignore those you do not know.
    source
        The JSON as it came, with fields that this version does not know.
    """

    schema_version: str
    model: ModelIdentity
    image: ImageInfo
    field_of_view: FieldOfView
    geometry: Affine
    classes: Classes
    warnings: tuple[str, ...]
    source: str = field(repr=False)

    @classmethod
    def parse(cls, text: str | bytes) -> "Report":
        """Parse REPORT. Raises ContractMismatchError."""
        raw = load_json(text, what="report")
        try:
            return cls(
                schema_version=raw["schema_version"],
                model=pick(ModelIdentity, raw["model"]),
                image=pick(ImageInfo, raw["image"]),
                field_of_view=pick(FieldOfView, raw["field_of_view"]),
                geometry=parse_affine(raw["geometry"]),
                classes=Classes(tuple(_parse_class(item) for item in raw["classes"])),
                warnings=tuple(raw["warnings"]),
                source=text if isinstance(text, str) else text.decode(),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ContractMismatchError(f"the report lacks or garbles {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """The report as it came over the wire."""
        result: dict[str, Any] = json.loads(self.source)
        return result


def load_json(text: str | bytes, *, what: str) -> dict[str, Any]:
    """Parse a versioned JSON object. Raises ContractMismatchError for another major version."""
    try:
        raw = json.loads(text)
        version = raw["schema_version"]
        major = contract_major(version)
    except (ContractError, ValueError, KeyError, TypeError) as error:
        raise ContractMismatchError(f"the {what} is not JSON with a schema_version") from error
    if major != contract_major(CONTRACT_VERSION):
        raise ContractMismatchError(
            f"the {what} has schema version {version}, this SDK reads {CONTRACT_VERSION}; "
            f"{'update segserve' if major > contract_major(CONTRACT_VERSION) else 'use an older segserve'}"
        )
    result: dict[str, Any] = raw
    return result


def pick(kind: Any, raw: Mapping[str, Any]) -> Any:
    """Build a dataclass from the keys it knows. Raises KeyError for one that is missing."""
    return kind(**{name: raw[name] for name in kind.__dataclass_fields__})


def parse_affine(rows: Any) -> Affine:
    """A 2 x 3 matrix as tuples. Raises ValueError, TypeError."""
    (a, b, c), (d, e, f) = rows
    return (float(a), float(b), float(c)), (float(d), float(e), float(f))


def _parse_class(raw: Mapping[str, Any]) -> ClassReport:
    lesions = tuple(
        pick(Lesion, {**item, "bbox": tuple(item["bbox"]), "centroid": tuple(item["centroid"])})
        for item in raw["lesions"]
    )
    report: ClassReport = pick(ClassReport, {**raw, "lesions": lesions})
    return report
