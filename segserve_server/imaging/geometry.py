"""The square of the photograph that the model sees, and the affine between the two pixel grids."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segserve_server.imaging.field_of_view import FieldOfView

Float64Array = npt.NDArray[np.float64]

_MEETINGS = 16


@dataclass(frozen=True, slots=True)
class Geometry:
    """A square crop of the photograph as displayed, scaled to the square model grid.

    ``crop_x``, ``crop_y``, ``crop_side``: the square, in photograph pixels; it may reach beyond the photograph, where
    the model sees black. ``grid``: side of the model grid. ``width``, ``height``: the photograph as displayed.
    """

    width: int
    height: int
    crop_x: int
    crop_y: int
    crop_side: int
    grid: int

    @property
    def scale(self) -> float:
        """Photograph pixels per model-grid pixel."""
        return self.crop_side / self.grid

    @property
    def grid_to_photo(self) -> Float64Array:
        """Affine [2, 3] that takes pixel centres of the model grid (x, y, 1) to those of the photograph.

        Pixel ``i`` covers [i, i + 1), so its centre is i + 0.5: x_photo + 0.5 = crop_x + (x_grid + 0.5) * scale.
        """
        shift = 0.5 * self.scale - 0.5
        return np.array([[self.scale, 0.0, self.crop_x + shift], [0.0, self.scale, self.crop_y + shift]])

    @property
    def photo_to_grid(self) -> Float64Array:
        """Affine [2, 3], the inverse of ``grid_to_photo``."""
        inverse = 1 / self.scale
        forward = self.grid_to_photo
        return np.array([[inverse, 0.0, -forward[0, 2] * inverse], [0.0, inverse, -forward[1, 2] * inverse]])

    @property
    def period(self) -> int:
        """Every so many model pixels, a border of the model grid falls on a border of photograph pixels."""
        return self.grid // math.gcd(self.crop_side, self.grid)

    @property
    def visible(self) -> tuple[int, int, int, int]:
        """The part of the crop that lies in the photograph: x0, y0, x1, y1 in photograph pixels, ends exclusive."""
        x0, y0 = max(0, self.crop_x), max(0, self.crop_y)
        x1 = min(self.width, self.crop_x + self.crop_side)
        y1 = min(self.height, self.crop_y + self.crop_side)
        return x0, y0, x1, y1


def square_crop(field: FieldOfView, *, width: int, height: int, grid: int, reduction: int) -> Geometry:
    """The smallest square around the field of view, centred on it, on a lattice that keeps both grids exact.

    Corner and side are multiples of ``reduction``, so that a crop of the reduced picture is exactly a crop of the
    photograph. A side that shrinks to the grid is also a multiple of 16 x ``reduction``: the two pixel lattices then
    meet every ``grid`` / 16 model pixels, and any band between two such meetings resamples exactly as the whole would.
    """
    longest = max(field.width, field.height)
    step = reduction * (_MEETINGS if longest >= grid * reduction else 1)
    x, side = _place(field.x, field.width, longest, step, reduction)
    y, side_y = _place(field.y, field.height, longest, step, reduction)
    side = max(side, side_y)
    return Geometry(width=width, height=height, crop_x=x, crop_y=y, crop_side=side, grid=grid)


def _place(start: int, length: int, longest: int, step: int, reduction: int) -> tuple[int, int]:
    """Corner and side along one axis: the side covers ``longest``, the corner lies on a multiple of ``reduction``."""
    side = -(-longest // step) * step
    corner = (start + (length - side) // 2) // reduction * reduction
    if corner + side < start + length:  # rounding the corner down has uncovered the far edge
        side += step
    return corner, side
