"""Where the lit disc of a fundus photograph lies in its dark frame."""

from dataclasses import dataclass

import cv2
import numpy as np

from segserve_server.imaging.decode import UInt8Array

_WORK_SIDE = 256  # the disc's edge is known to about a pixel of this; the crop needs no better
_DARK = 12  # of 255: above the noise that JPEG leaves in a black frame, below the dimmest retina
_MINIMUM_FRACTION = 0.10  # a smaller lit region is a reflection or a label, not the field
_FULL_FRAME_FRACTION = 0.99  # without any dark border there is no disc to find


@dataclass(frozen=True, slots=True)
class FieldOfView:
    """Bounding box and area of the lit region, in pixels of the photograph as displayed."""

    x: int
    y: int
    width: int
    height: int
    area_px: int
    found: bool


def find_field_of_view(pixels: UInt8Array, *, reduction: int, width: int, height: int) -> FieldOfView:
    """Find the field of view in decoded pixels, uint8 [h, w, 3], of a ``width`` x ``height`` photograph.

    The largest connected region brighter than black, its holes filled, on a copy of at most 256 pixels a side. Where
    none is large enough, or the whole frame is lit, the frame itself is returned with ``found`` false.
    """
    rows, columns = pixels.shape[:2]
    factor = min(1.0, _WORK_SIDE / max(rows, columns))
    small_size = (max(1, round(columns * factor)), max(1, round(rows * factor)))
    # Area sums the noise away; for a large picture, point samples of it first, since area needs every pixel.
    step = max(1, int(1 / factor) // 4)
    small = cv2.resize(np.ascontiguousarray(pixels[::step, ::step]), small_size, interpolation=cv2.INTER_AREA)
    lit = (small.max(axis=2) > _DARK).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(lit, connectivity=8)
    frame = FieldOfView(0, 0, width, height, width * height, found=False)
    if count < 2:
        return frame
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    region = (labels == largest).astype(np.uint8)
    contours, _ = cv2.findContours(region, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(region, contours, -1, (1,), thickness=cv2.FILLED)
    fraction = float(region.mean())
    if not _MINIMUM_FRACTION <= fraction <= _FULL_FRAME_FRACTION:
        return frame
    scale_x, scale_y = width / small_size[0], height / small_size[1]
    left, top, box_width, box_height = (int(v) for v in stats[largest, :4])
    x0, y0 = int(left * scale_x), int(top * scale_y)
    x1 = min(width, int(np.ceil((left + box_width) * scale_x)))
    y1 = min(height, int(np.ceil((top + box_height) * scale_y)))
    return FieldOfView(x0, y0, x1 - x0, y1 - y0, round(float(region.sum()) * scale_x * scale_y), found=True)
