"""Threshold and minimum lesion area: what each pair of them would report."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from segserve_server.imaging.decode import UInt8Array
from segserve_server.imaging.lesions import BoolArray
from segserve_server.imaging.metrics import LesionCounts, Overlap
from segserve_server.imaging.settings import ClassSettings
from training.evaluation import truth_of
from training.idrid import AnnotatedPhotograph
from training.predictions import Prediction

Int64Array = npt.NDArray[np.int64]

THRESHOLDS = tuple(round(0.05 * k, 2) for k in range(2, 19))
MINIMUM_AREAS = (0.0, 2.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0)
MAXIMUM_HEALTHY_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One pair of settings. ``flagged_share``: of the photographs graded 0, those with any reported lesion."""

    threshold: float
    minimum_area_grid_px: float
    dice: float
    sensitivity: float
    false_per_image: float
    flagged_share: float


@dataclass(frozen=True, slots=True)
class _Components:
    """Reported lesions of a photograph at one threshold, before any is dropped for its size.

    ``area``: pixels, int [n]; ``hits``: annotated pixels among them, int [n]; ``pairs``: int [m, 2], indices of
    reported and annotated lesions with a common pixel; ``scale``: photograph pixels per model-grid pixel.
    """

    area: Int64Array
    hits: Int64Array
    pairs: Int64Array
    annotated: int
    annotated_px: int
    scale: float

    def at(self, minimum_area_grid_px: float) -> tuple[Overlap, LesionCounts]:
        """The figures with lesions under the minimum area left out."""
        keep = self.area >= minimum_area_grid_px * self.scale**2
        true_positive = int(self.hits[keep].sum())
        overlap = Overlap(true_positive, int(self.area[keep].sum()) - true_positive, self.annotated_px - true_positive)
        found = len(np.unique(self.pairs[keep[self.pairs[:, 0]], 1]))
        return overlap, LesionCounts(
            self.annotated, found, int(keep.sum()), int(np.count_nonzero(keep & (self.hits == 0)))
        )


def sweep(
    photographs: Sequence[AnnotatedPhotograph],
    predictions: Sequence[Prediction],
    healthy: Sequence[Prediction],
) -> list[SweepPoint]:
    """Figures of every pair of THRESHOLDS and MINIMUM_AREAS, in that order."""
    levels = {t: ClassSettings(name="sweep", color="#000000", threshold=t).threshold_level for t in THRESHOLDS}
    found: dict[float, list[_Components]] = {t: [] for t in THRESHOLDS}
    for photograph, prediction in zip(photographs, predictions, strict=True):
        truth = truth_of(photograph, prediction)
        count, labels = cv2.connectedComponents(truth.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
        probability = prediction.probability_in_photo()
        for threshold, level in levels.items():
            positive = probability >= level
            found[threshold].append(
                _components(positive, truth, labels.astype(np.int32, copy=False), count - 1, prediction.geometry.scale)
            )
    largest = {t: [_largest_area(p, level) for p in healthy] for t, level in levels.items()}
    points = []
    for threshold in THRESHOLDS:
        for area in MINIMUM_AREAS:
            overlap, lesions = Overlap(), LesionCounts()
            for components in found[threshold]:
                own, counts = components.at(area)
                overlap, lesions = overlap + own, lesions + counts
            flagged = sum(0 < size >= area for size in largest[threshold])
            points.append(
                SweepPoint(
                    threshold=threshold,
                    minimum_area_grid_px=area,
                    dice=overlap.dice,
                    sensitivity=lesions.sensitivity,
                    false_per_image=lesions.false / len(photographs),
                    flagged_share=flagged / len(healthy) if healthy else float("nan"),
                )
            )
    return points


def choose(points: Sequence[SweepPoint]) -> SweepPoint:
    """The best Dice among those that flag at most MAXIMUM_HEALTHY_SHARE of healthy photographs.

    Where none does, or with no healthy photographs at hand, the best Dice of all.
    """
    allowed = [p for p in points if p.flagged_share <= MAXIMUM_HEALTHY_SHARE]
    return max(allowed or points, key=lambda p: p.dice)


def _components(
    positive: BoolArray, truth: BoolArray, labels: npt.NDArray[np.int32], annotated: int, scale: float
) -> _Components:
    count, reported, stats, _ = cv2.connectedComponentsWithStats(
        positive.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S
    )
    common = positive & truth
    mine, theirs = reported[common].astype(np.int64) - 1, labels[common].astype(np.int64) - 1
    pairs = np.unique(np.column_stack([mine, theirs]), axis=0)
    hits = np.bincount(mine, minlength=count - 1).astype(np.int64)
    area = stats[1:, cv2.CC_STAT_AREA].astype(np.int64)
    return _Components(area, hits, pairs, annotated, int(np.count_nonzero(truth)), scale)


def _largest_area(prediction: Prediction, level: int) -> float:
    """Area of the largest lesion at ``level``, in pixels of the model grid; 0 where there is none."""
    if not (prediction.probability[0] >= level).any():
        return 0.0
    positive: UInt8Array = (prediction.probability_in_photo() >= level).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(positive, connectivity=8)
    return float(stats[1:, cv2.CC_STAT_AREA].max(initial=0) / prediction.geometry.scale**2)
