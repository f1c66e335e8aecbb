"""The figures of a served model on annotated photographs and on healthy ones."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segserve_server.imaging.lesions import BoolArray
from segserve_server.imaging.metrics import (
    LesionCounts,
    LevelHistogram,
    Overlap,
    ReliabilityBin,
    average_precision,
    count_lesions,
)
from segserve_server.imaging.pipeline import postprocess
from segserve_server.imaging.settings import PostprocessSettings
from training.idrid import LESIONS, AnnotatedPhotograph
from training.predictions import Float32Array, Prediction, float_in_photo
from training.served_graph import ReferenceEngine, sigmoid


@dataclass(frozen=True, slots=True)
class PhotographFigures:
    """One photograph's mask and lesions against its annotation, as the server reports them."""

    stem: str
    dice: float
    iou: float
    lesions: LesionCounts


@dataclass(frozen=True, slots=True)
class HealthyFigures:
    """Photographs graded 0, and how many of them get any reported lesion."""

    photographs: int
    flagged: tuple[str, ...]

    @property
    def share(self) -> float:
        """Flagged / photographs, in 0 to 1; not a number without photographs."""
        return len(self.flagged) / self.photographs if self.photographs else float("nan")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Pooled over all pixels of all photographs at full resolution, except where a name says otherwise.

    ``aupr_served``: of the 8-bit probabilities of the served engine; ``aupr_float``: of the graph in float32 before
    rounding. ``dice``, ``iou``: of the reported masks. ``calibration_error``: expected, over ten intervals.
    """

    aupr_served: float
    aupr_float: float
    dice: float
    iou: float
    median_dice: float
    median_iou: float
    lesions: LesionCounts
    calibration_error: float
    reliability: tuple[ReliabilityBin, ...]
    photographs: tuple[PhotographFigures, ...]

    @property
    def aupr_loss(self) -> float:
        """What eight bits and the engine's precision cost."""
        return self.aupr_float - self.aupr_served

    @property
    def false_lesions_per_image(self) -> float:
        """Reported lesions that touch no annotated one, per photograph."""
        return self.lesions.false / len(self.photographs)


def truth_of(photograph: AnnotatedPhotograph, prediction: Prediction) -> BoolArray:
    """The served class's annotation, bool [height, width]."""
    shape = (prediction.geometry.height, prediction.geometry.width)
    return photograph.mask(LESIONS[0], shape=shape)


def evaluate(
    photographs: Sequence[AnnotatedPhotograph],
    predictions: Sequence[Prediction],
    *,
    reference: ReferenceEngine,
    settings: PostprocessSettings,
) -> Evaluation:
    """Compare predictions with annotations, one photograph's full-size masks in memory at a time."""
    histogram, overlap, lesions = LevelHistogram.empty(), Overlap(), LesionCounts()
    figures = []
    float_parts: list[tuple[Float32Array, BoolArray]] = []
    for photograph, prediction in zip(photographs, predictions, strict=True):
        truth = truth_of(photograph, prediction)
        histogram += LevelHistogram.of(prediction.probability_in_photo(), truth)
        probability = sigmoid(reference.logits(prediction.image)[0] / np.float32(reference.facts.temperature))
        float_parts.append((float_in_photo(probability, prediction.geometry), truth))
        mask = postprocess(prediction.probability, prediction.geometry, settings)[0].mask()
        own, counts = Overlap.of(mask, truth), count_lesions(mask, truth)
        figures.append(PhotographFigures(photograph.stem, own.dice, own.iou, counts))
        overlap, lesions = overlap + own, lesions + counts
    return Evaluation(
        aupr_served=histogram.average_precision(),
        aupr_float=average_precision(float_parts),
        dice=overlap.dice,
        iou=overlap.iou,
        median_dice=statistics.median(f.dice for f in figures),
        median_iou=statistics.median(f.iou for f in figures),
        lesions=lesions,
        calibration_error=histogram.expected_calibration_error(),
        reliability=histogram.reliability(),
        photographs=tuple(figures),
    )


def evaluate_healthy(predictions: Sequence[Prediction], settings: PostprocessSettings) -> HealthyFigures:
    """Which photographs without haemorrhages get a reported one."""
    flagged = [p.stem for p in predictions if postprocess(p.probability, p.geometry, settings)[0].lesions]
    return HealthyFigures(len(predictions), tuple(flagged))
