"""Threshold and minimum lesion area: what each pair of them would report."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from segserve_server.imaging.decode import UInt8Array
from segserve_server.imaging.lesions import BoolArray
from segserve_server.imaging.metrics import LesionCounts, Overlap
from segserve_server.imaging.settings import ClassSettings
from training.predictions import Examined, Prediction

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


@dataclass(frozen=True, slots=True)
class Swept:
    """Photographs at every one of THRESHOLDS, before lesions are dropped for their size.

    ``annotated``: the reported lesions of each annotated photograph; ``healthy``: the largest one of each photograph
    graded 0, in pixels of the model grid, 0 where there is none.
    """

    annotated: tuple[dict[float, _Components], ...]
    healthy: tuple[dict[float, float], ...]

    def __add__(self, other: "Swept") -> "Swept":
        return Swept(self.annotated + other.annotated, self.healthy + other.healthy)

    def at(self, threshold: float, minimum_area_grid_px: float) -> "SweepCounts":
        """What these settings would report."""
        counts = SweepCounts(healthy=len(self.healthy))
        for photograph in self.annotated:
            counts += SweepCounts(*photograph[threshold].at(minimum_area_grid_px), photographs=1)
        flagged = sum(0 < largest[threshold] >= minimum_area_grid_px for largest in self.healthy)
        return counts + SweepCounts(flagged=flagged)


@dataclass(frozen=True, slots=True)
class SweepCounts:
    """Counts of one pair of settings; they add up over photographs."""

    overlap: Overlap = field(default_factory=Overlap)
    lesions: LesionCounts = field(default_factory=LesionCounts)
    photographs: int = 0
    healthy: int = 0
    flagged: int = 0

    def __add__(self, other: "SweepCounts") -> "SweepCounts":
        return SweepCounts(
            self.overlap + other.overlap,
            self.lesions + other.lesions,
            self.photographs + other.photographs,
            self.healthy + other.healthy,
            self.flagged + other.flagged,
        )

    def point(self, threshold: float, minimum_area_grid_px: float) -> SweepPoint:
        """The figures of these counts."""
        return SweepPoint(
            threshold=threshold,
            minimum_area_grid_px=minimum_area_grid_px,
            dice=self.overlap.dice,
            sensitivity=self.lesions.sensitivity,
            false_per_image=self.lesions.false / self.photographs,
            flagged_share=self.flagged / self.healthy if self.healthy else float("nan"),
        )


def sweep(examined: Sequence[Examined], healthy: Sequence[Prediction]) -> Swept:
    """Every photograph at every threshold."""
    levels = {t: ClassSettings(name="sweep", color="#000000", threshold=t).threshold_level for t in THRESHOLDS}
    annotated = []
    for one in tqdm(examined, desc="sweep", unit="photo", disable=None):
        truth = one.truth()
        count, labels = cv2.connectedComponents(truth.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
        probability = one.prediction.probability_in_photo()
        theirs = labels.astype(np.int32, copy=False)
        scale = one.prediction.geometry.scale
        annotated.append({t: _components(probability >= v, truth, theirs, count - 1, scale) for t, v in levels.items()})
    largest = tuple({t: _largest_area(p, level) for t, level in levels.items()} for p in healthy)
    return Swept(tuple(annotated), largest)


def sweep_points(swept: Swept) -> list[SweepPoint]:
    """Figures of every pair of THRESHOLDS and MINIMUM_AREAS, in that order."""
    return [swept.at(t, area).point(t, area) for t in THRESHOLDS for area in MINIMUM_AREAS]


@dataclass(frozen=True, slots=True)
class AcrossFolds:
    """Settings chosen anew for each fold on the other folds alone, and what all of them together report.

    An unbiased guess at what the choice is worth. ``choices``: one (threshold, minimum area) per fold.
    """

    choices: tuple[tuple[float, float], ...]
    dice: float
    sensitivity: float
    false_per_image: float
    flagged_share: float


def choose_across(folds: Sequence[Swept]) -> AcrossFolds:
    """Choose for each fold on the others. Needs two folds or more."""
    counts, choices = SweepCounts(), []
    for index, held in enumerate(folds):
        others = [fold for other, fold in enumerate(folds) if other != index]
        best = choose(sweep_points(sum(others[1:], start=others[0])))
        choices.append((best.threshold, best.minimum_area_grid_px))
        counts += held.at(*choices[-1])
    point = counts.point(float("nan"), float("nan"))
    return AcrossFolds(tuple(choices), point.dice, point.sensitivity, point.false_per_image, point.flagged_share)


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
