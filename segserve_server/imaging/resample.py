"""Between the photograph's grid and the model's: crop and scale down, scale up and place.

Both directions work on a band of the crop that lies between two meetings of the pixel lattices (``Geometry.period``),
so that neither the black padding of an extreme aspect ratio nor the empty part of a mask is ever computed.
"""

import math

import cv2
import numpy as np

from segserve_server.imaging.decode import UInt8Array
from segserve_server.imaging.geometry import Geometry


def photo_to_model(pixels: UInt8Array, geometry: Geometry, *, reduction: int = 1) -> UInt8Array:
    """Cut the geometry's square out of decoded pixels and scale it to the model grid.

    ``pixels``: uint8 [h, w, C] or [h, w], the photograph at 1/``reduction``. Returns uint8 [grid, grid, C] or
    [grid, grid]; black beyond the photograph. Pixel areas are averaged when shrinking, bilinear when enlarging.
    """
    rows, columns = pixels.shape[:2]
    left, top = geometry.crop_x // reduction, geometry.crop_y // reduction
    scale = geometry.crop_side / reduction / geometry.grid
    period = geometry.period
    gx0, gx1 = _band(-left, columns - left, scale, geometry.grid, period)
    gy0, gy1 = _band(-top, rows - top, scale, geometry.grid, period)
    # The band in reduced pixels; exact, since gx0 .. gy1 are multiples of the period.
    bx0, bx1 = left + round(gx0 * scale), left + round(gx1 * scale)
    by0, by1 = top + round(gy0 * scale), top + round(gy1 * scale)
    x0, x1, y0, y1 = max(0, bx0), min(columns, bx1), max(0, by0), min(rows, by1)
    band = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    if (bx0, bx1, by0, by1) != (x0, x1, y0, y1):
        band = cv2.copyMakeBorder(band, y0 - by0, by1 - y1, x0 - bx0, bx1 - x1, cv2.BORDER_CONSTANT, value=[0, 0, 0, 0])
    interpolation = cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR
    resized = cv2.resize(band, (gx1 - gx0, gy1 - gy0), interpolation=interpolation)
    model = np.zeros((geometry.grid, geometry.grid, *pixels.shape[2:]), np.uint8)
    model[gy0:gy1, gx0:gx1] = resized
    return model


def model_to_photo(values: UInt8Array, geometry: Geometry, window: tuple[int, int, int, int]) -> UInt8Array:
    """Scale model-grid values up to a window of the photograph, bilinear between pixel centres.

    ``values``: uint8 [grid, grid]. ``window``: x0, y0, x1, y1 in photograph pixels, within ``geometry.visible``.
    Returns uint8 [y1 - y0, x1 - x0], the same numbers whatever the window.
    """
    x0, y0, x1, y1 = window
    scale, period = geometry.scale, geometry.period
    margin = 1 + scale  # one model pixel more on each side, which the interpolation at the window's edge reads
    gx0, gx1 = _band(x0 - geometry.crop_x - margin, x1 - geometry.crop_x + margin, scale, geometry.grid, period)
    gy0, gy1 = _band(y0 - geometry.crop_y - margin, y1 - geometry.crop_y + margin, scale, geometry.grid, period)
    bx0, by0 = geometry.crop_x + round(gx0 * scale), geometry.crop_y + round(gy0 * scale)
    size = (round((gx1 - gx0) * scale), round((gy1 - gy0) * scale))
    band = cv2.resize(np.ascontiguousarray(values[gy0:gy1, gx0:gx1]), size, interpolation=cv2.INTER_LINEAR)
    return band[y0 - by0 : y1 - by0, x0 - bx0 : x1 - bx0].astype(np.uint8, copy=False)


def _band(start: float, stop: float, scale: float, grid: int, period: int) -> tuple[int, int]:
    """Model pixels, on multiples of ``period``, that cover start .. stop of the crop, which counts from its corner."""
    first = max(0, math.floor(start / scale / period) * period)
    last = min(grid, math.ceil(stop / scale / period) * period)
    return first, last
