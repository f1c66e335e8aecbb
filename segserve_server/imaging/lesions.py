"""From 8-bit probabilities on the model grid to lesions and a mask in the photograph's grid."""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from segserve_server.imaging.decode import UInt8Array
from segserve_server.imaging.geometry import Geometry
from segserve_server.imaging.png import encode_mask
from segserve_server.imaging.resample import model_to_photo
from segserve_server.imaging.settings import ClassSettings

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lesion:
    """One 8-connected component. Lengths and places in photograph pixels, probabilities in 0 to 1.

    ``bbox``: x, y, width, height. ``centroid``: x, y of the mean pixel centre, counted so that the centre of the
    top-left pixel is (0, 0).
    """

    area_px: int
    bbox: tuple[int, int, int, int]
    centroid: tuple[float, float]
    mean_probability: float
    max_probability: float


@dataclass(frozen=True, slots=True)
class ClassFindings:
    """The lesions of one class, largest first, and their mask: bool ``window`` at ``x``, ``y`` of the photograph."""

    lesions: tuple[Lesion, ...]
    window: BoolArray
    x: int
    y: int
    width: int
    height: int

    @property
    def area_px(self) -> int:
        """Pixels of all lesions together, which is the number of ones in the mask."""
        return sum(lesion.area_px for lesion in self.lesions)

    def mask(self) -> BoolArray:
        """The whole mask, bool [height, width]."""
        mask = np.zeros((self.height, self.width), np.bool_)
        rows, columns = self.window.shape
        mask[self.y : self.y + rows, self.x : self.x + columns] = self.window
        return mask

    def mask_png(self) -> bytes:
        """The whole mask as a 1-bit PNG."""
        return encode_mask(self.window, x=self.x, y=self.y, width=self.width, height=self.height)


def find_lesions(probability: UInt8Array, geometry: Geometry, settings: ClassSettings) -> ClassFindings:
    """Threshold, label and measure one class.

    ``probability``: uint8 [grid, grid], probability x 255. It is scaled bilinearly to the photograph, thresholded
    there, split into 8-connected components, and components under the minimum area are dropped.
    """
    level = settings.threshold_level
    window = _window_of_positives(probability, geometry, level)
    if window is None:
        empty = np.zeros((0, 0), np.bool_)
        return ClassFindings((), empty, 0, 0, geometry.width, geometry.height)
    x0, y0, _, _ = window
    values = model_to_photo(probability, geometry, window)
    positive = cv2.threshold(values, level - 1, 1, cv2.THRESH_BINARY)[1]
    # Grana's algorithm gives the default's labels a quarter sooner on sparse masks (docs/performance.md).
    count, labels, stats, centroids = cv2.connectedComponentsWithStatsWithAlgorithm(
        positive, 8, cv2.CV_32S, cv2.CCL_GRANA
    )
    minimum = settings.minimum_area_grid_px * geometry.scale**2
    keep = stats[:, cv2.CC_STAT_AREA] >= minimum
    keep[0] = False
    points = np.flatnonzero(positive.view(np.bool_))  # as bytes it takes ten times as long
    labels_of_points = labels.ravel()[points].astype(np.intp)
    values_of_points = values.ravel()[points]
    sums = np.bincount(labels_of_points, weights=values_of_points, minlength=count)
    peaks = np.zeros(count, np.uint8)
    np.maximum.at(peaks, labels_of_points, values_of_points)
    lesions = [
        Lesion(
            area_px=int(stats[i, cv2.CC_STAT_AREA]),
            bbox=(
                int(stats[i, cv2.CC_STAT_LEFT]) + x0,
                int(stats[i, cv2.CC_STAT_TOP]) + y0,
                int(stats[i, cv2.CC_STAT_WIDTH]),
                int(stats[i, cv2.CC_STAT_HEIGHT]),
            ),
            centroid=(float(centroids[i, 0]) + x0, float(centroids[i, 1]) + y0),
            mean_probability=float(sums[i] / stats[i, cv2.CC_STAT_AREA] / 255),
            max_probability=float(peaks[i] / 255),
        )
        for i in np.flatnonzero(keep)
    ]
    lesions.sort(key=lambda lesion: (-lesion.area_px, lesion.bbox[1], lesion.bbox[0]))
    mask = positive.astype(np.bool_, copy=False)
    if not keep[1:].all():
        mask = np.zeros(positive.shape, np.bool_)
        mask.ravel()[points] = keep[labels_of_points]
    return ClassFindings(tuple(lesions), mask, x0, y0, geometry.width, geometry.height)


def _window_of_positives(probability: UInt8Array, geometry: Geometry, level: int) -> tuple[int, int, int, int] | None:
    """A window of the photograph outside which no interpolated value can reach ``level``; None if it is empty."""
    positive = cv2.threshold(probability, level - 1, 1, cv2.THRESH_BINARY)[1]
    left, top, columns, rows = cv2.boundingRect(positive)
    if columns == 0:
        return None
    # An interpolated value lies within one model pixel of the ones it is made of.
    margin, scale = 1, geometry.scale
    visible = geometry.visible
    x0 = max(visible[0], geometry.crop_x + math.floor((left - margin) * scale))
    y0 = max(visible[1], geometry.crop_y + math.floor((top - margin) * scale))
    x1 = min(visible[2], geometry.crop_x + math.ceil((left + columns + margin) * scale))
    y1 = min(visible[3], geometry.crop_y + math.ceil((top + rows + margin) * scale))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None
