"""The geometry that comes with a probability map."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segserve._report import Affine, FieldOfView, ImageInfo, load_json, parse_affine, pick
from segserve.errors import ContractMismatchError


@dataclass(frozen=True)
class Crop:
    """The square of the photograph that the model sees, in photograph pixels; it may reach beyond the photograph."""

    x: int
    y: int
    side: int


@dataclass(frozen=True)
class Geometry:
    """How the model grid lies on the photograph.

    Parameters
    ----------
    grid
        Width and height of the model grid.
    affine
        2 x 3, from pixel centres of the model grid (x, y, 1) to pixel centres of the photograph as displayed.
    """

    schema_version: str
    grid: tuple[int, int]
    affine: Affine
    crop: Crop
    image: ImageInfo
    field_of_view: FieldOfView
    warnings: tuple[str, ...]

    @classmethod
    def parse(cls, text: str | bytes) -> "Geometry":
        """Parse GEOMETRY. Raises ContractMismatchError."""
        raw: dict[str, Any] = load_json(text, what="geometry")
        try:
            return cls(
                schema_version=raw["schema_version"],
                grid=(int(raw["grid"]["width"]), int(raw["grid"]["height"])),
                affine=parse_affine(raw["affine"]),
                crop=pick(Crop, raw["crop"]),
                image=pick(ImageInfo, raw["image"]),
                field_of_view=pick(FieldOfView, raw["field_of_view"]),
                warnings=tuple(raw["warnings"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ContractMismatchError(f"the geometry lacks or garbles {error}") from error

    def to_photo(self, points: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Model-grid points to photograph points; float64 [n, 2], x and y from the first pixel's centre."""
        xy = np.asarray(points, np.float64).reshape(-1, 2)
        matrix = np.asarray(self.affine)
        moved: npt.NDArray[np.float64] = xy @ matrix[:, :2].T + matrix[:, 2]
        return moved
