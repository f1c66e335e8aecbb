"""The figures of a served model on annotated photographs and on healthy ones."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tqdm import tqdm

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
from training.predictions import Examined, Float32Array, Prediction


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


def evaluate(examined: Sequence[Examined], settings: PostprocessSettings) -> Evaluation:
    """Compare predictions with annotations, pooled over all photographs."""
    histogram, overlap, lesions = LevelHistogram.empty(), Overlap(), LesionCounts()
    figures = []
    float_parts: list[tuple[Float32Array, BoolArray]] = []
    for one in tqdm(examined, desc="evaluate", unit="photo", disable=None):
        truth, prediction = one.truth(), one.prediction
        histogram += LevelHistogram.of(prediction.probability_in_photo(), truth)
        float_parts.append((one.float_probability_in_photo(), truth))
        mask = postprocess(prediction.probability, prediction.geometry, settings)[0].mask()
        own, counts = Overlap.of(mask, truth), count_lesions(mask, truth)
        figures.append(PhotographFigures(prediction.stem, own.dice, own.iou, counts))
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
        photographs=tuple(sorted(figures, key=lambda f: f.stem)),
    )


def evaluate_healthy(predictions: Sequence[Prediction], settings: PostprocessSettings) -> HealthyFigures:
    """Which photographs without haemorrhages get a reported one."""
    flagged = [p.stem for p in predictions if postprocess(p.probability, p.geometry, settings)[0].lesions]
    return HealthyFigures(len(predictions), tuple(flagged))
