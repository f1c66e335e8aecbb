"""How well probabilities and masks agree with an annotation: precision-recall, overlap, lesions, calibration.

Counts add up over photographs, so that a pooled figure needs one photograph in memory at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from segserve_server.imaging.decode import UInt8Array
from segserve_server.imaging.lesions import BoolArray

Int64Array = npt.NDArray[np.int64]
Float32Array = npt.NDArray[np.float32]

_LEVELS = 256


@dataclass(frozen=True, slots=True)
class Overlap:
    """Pixels of two masks: in both, only predicted, only annotated."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0

    @classmethod
    def of(cls, predicted: BoolArray, truth: BoolArray) -> "Overlap":
        """Count two bool masks of one shape."""
        both = int(np.count_nonzero(predicted & truth))
        return cls(both, int(np.count_nonzero(predicted)) - both, int(np.count_nonzero(truth)) - both)

    def __add__(self, other: "Overlap") -> "Overlap":
        return Overlap(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
        )

    @property
    def dice(self) -> float:
        """2 |A and B| / (|A| + |B|), in 0 to 1; 1 where both masks are empty, since then they agree."""
        size = 2 * self.true_positive + self.false_positive + self.false_negative
        return 2 * self.true_positive / size if size else 1.0

    @property
    def iou(self) -> float:
        """|A and B| / |A or B|, in 0 to 1; 1 where both masks are empty."""
        size = self.true_positive + self.false_positive + self.false_negative
        return self.true_positive / size if size else 1.0


@dataclass(frozen=True, slots=True)
class LesionCounts:
    """Annotated lesions, how many of them were found, reported lesions, and how many of those touch no annotation."""

    annotated: int = 0
    found: int = 0
    reported: int = 0
    false: int = 0

    def __add__(self, other: "LesionCounts") -> "LesionCounts":
        return LesionCounts(
            self.annotated + other.annotated,
            self.found + other.found,
            self.reported + other.reported,
            self.false + other.false,
        )

    @property
    def sensitivity(self) -> float:
        """Found / annotated, in 0 to 1; not a number where nothing is annotated."""
        return self.found / self.annotated if self.annotated else float("nan")


def count_lesions(predicted: BoolArray, truth: BoolArray) -> LesionCounts:
    """Match lesions, the 8-connected components of two bool masks [h, w], by any common pixel.

    An annotated lesion is found when at least one of its pixels is predicted; a reported lesion is false when none of
    its pixels is annotated. One reported lesion may find several annotated ones. Source: the lesion-wise true and
    false positive rates of Carass et al., Longitudinal multiple sclerosis lesion segmentation, NeuroImage 148, 2017.
    """
    annotated, truth_labels = cv2.connectedComponents(truth.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    reported, predicted_labels = cv2.connectedComponents(predicted.astype(np.uint8), connectivity=8, ltype=cv2.CV_32S)
    common = predicted & truth
    found = len(np.unique(truth_labels[common]))
    touching = len(np.unique(predicted_labels[common]))
    return LesionCounts(annotated - 1, found, reported - 1, reported - 1 - touching)


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Pixels whose probability lies in one interval: how many, what was predicted and what was there, 0 to 1."""

    lower: float
    upper: float
    pixels: int
    mean_probability: float
    observed_share: float


@dataclass(frozen=True, slots=True)
class LevelHistogram:
    """Annotated and other pixels per 8-bit probability level; ``positives``, ``negatives``: int64 [256]."""

    positives: Int64Array
    negatives: Int64Array

    @classmethod
    def empty(cls) -> "LevelHistogram":
        """No pixels yet."""
        return cls(np.zeros(_LEVELS, np.int64), np.zeros(_LEVELS, np.int64))

    @classmethod
    def of(cls, probability: UInt8Array, truth: BoolArray) -> "LevelHistogram":
        """Count uint8 probabilities (x 255) against a bool annotation of the same shape."""
        everything = np.bincount(probability.ravel(), minlength=_LEVELS)
        positives = np.bincount(probability[truth], minlength=_LEVELS)
        return cls(positives.astype(np.int64), (everything - positives).astype(np.int64))

    def __add__(self, other: "LevelHistogram") -> "LevelHistogram":
        return LevelHistogram(self.positives + other.positives, self.negatives + other.negatives)

    def overlap(self, level: int) -> Overlap:
        """The overlap of all pixels at or above ``level`` (1 to 255) with the annotation."""
        return Overlap(
            int(self.positives[level:].sum()), int(self.negatives[level:].sum()), int(self.positives[:level].sum())
        )

    def average_precision(self) -> float:
        """Area under the precision-recall curve, exact for 8-bit scores; see ``average_precision``."""
        return _average_precision(self.positives, self.negatives)

    def reliability(self, bins: int = 10) -> tuple[ReliabilityBin, ...]:
        """``bins`` intervals of equal width over 0 to 1 (Guo et al., On Calibration of Modern Neural Networks, 2017).

        A level belongs to the interval that its probability, level / 255, lies in; empty intervals are left out.
        """
        probability = np.arange(_LEVELS) / (_LEVELS - 1)
        interval = np.minimum((probability * bins).astype(np.int64), bins - 1)
        found = []
        for index in range(bins):
            inside = interval == index
            pixels = self.positives[inside] + self.negatives[inside]
            count = int(pixels.sum())
            if count:
                mean = float((pixels * probability[inside]).sum() / count)
                share = float(self.positives[inside].sum() / count)
                found.append(ReliabilityBin(index / bins, (index + 1) / bins, count, mean, share))
        return tuple(found)

    def expected_calibration_error(self, bins: int = 10) -> float:
        """Mean of |observed share - mean probability| over the intervals, weighted by pixels, in 0 to 1.

        Source: Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015.
        """
        found = self.reliability(bins)
        total = sum(b.pixels for b in found)
        return sum(b.pixels * abs(b.observed_share - b.mean_probability) for b in found) / total if total else 0.0


def average_precision(parts: Iterable[tuple[Float32Array, BoolArray]]) -> float:
    """Area under the precision-recall curve over the pixels of several photographs, exact for float scores.

    ``parts``: float32 scores and bool annotation of each photograph. The step-wise sum of (R_n - R_n-1) P_n over all
    distinct scores (Davis and Goadrich, ICML 2006; scikit-learn's average_precision_score). Not a number where
    nothing is annotated. Only scores that some annotated pixel has change recall, so the others are counted between
    them, never sorted.
    """
    kept = [(scores[truth], scores[~truth]) for scores, truth in parts]
    if not kept:
        return float("nan")
    thresholds, positives = np.unique(np.concatenate([p for p, _ in kept]), return_counts=True)
    negatives = np.zeros(len(thresholds), np.int64)
    for _, scores in kept:
        below = np.searchsorted(thresholds, scores, side="right")  # 0: under the lowest threshold, never counted
        negatives += np.bincount(below, minlength=len(thresholds) + 1)[1:]
    return _average_precision(positives.astype(np.int64), negatives)


def _average_precision(positives: Int64Array, negatives: Int64Array) -> float:
    """From counts per score, lowest score first."""
    total = int(positives.sum())
    if total == 0:
        return float("nan")
    true_positive = np.cumsum(positives[::-1])
    selected = true_positive + np.cumsum(negatives[::-1])
    gained = positives[::-1]
    used = gained > 0
    return float((gained[used] / total * (true_positive[used] / selected[used])).sum())
