"""``python -m training evaluate``: exported weights, measured through the pipeline that serves them."""

import dataclasses
import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segserve_server.engines.openvino import OpenVinoEngine, Precision
from segserve_server.repository.settings import FILE_NAME, load_postprocess_settings, load_preprocess_settings
from segserve_server.repository.weights import weights_path
from training.config import TrainConfig
from training.evaluation import HealthyFigures, evaluate, evaluate_healthy
from training.figures import evaluation_table, sweep_table, temperature_table, to_json, write_json
from training.idrid import AnnotatedPhotograph, GradedPhotograph, leave_out_copies, list_annotated, list_graded
from training.predictions import Prediction, predict
from training.served_graph import ReferenceEngine
from training.split import split_healthy, split_stems
from training.sweep import choose, sweep
from training.temperature import fit_temperature

_MODEL = "fundus_hemorrhage"


class Part(enum.Enum):
    """Which annotated photographs to measure on. TESTING: the official split, for acceptance, never for a choice."""

    VALIDATION = "validation"
    ALL = "all"
    TESTING = "testing"


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """What to measure and on what. ``fold``: hold out this one instead of the configuration's photographs."""

    data: Path
    repository: Path
    weights: Path | None = None
    part: Part = Part.VALIDATION
    fold: int | None = None
    precision: Precision = Precision.AUTO
    healthy: bool = True
    temperature: bool = False
    sweep: bool = False


def run_evaluation(config: TrainConfig, request: EvaluationRequest, *, json_path: Path | None = None) -> str:
    """Measure, write the figures as JSON where asked to, and return them as tables."""
    preprocessing = load_preprocess_settings(request.repository / f"{_MODEL}_preprocess" / "1" / FILE_NAME)
    postprocessing = load_postprocess_settings(request.repository / f"{_MODEL}_postprocess" / "1" / FILE_NAME)
    weights = request.weights or weights_path(request.repository, postprocessing.model)
    settings = preprocessing.settings
    if request.weights is not None:  # weights of a run on another grid than the served one
        settings = dataclasses.replace(settings, grid=config.data.grid)
    reference = ReferenceEngine(weights)
    engine = OpenVinoEngine(weights, precision=request.precision)
    chosen, trained = _choose_photographs(config, request)
    predictions = list(predict(chosen, engine, settings))
    evaluation = evaluate(chosen, predictions, reference=reference, settings=postprocessing.settings)
    healthy_predictions: list[Prediction] = []
    healthy: HealthyFigures | None = None
    if request.healthy:
        healthy_predictions = list(predict(_choose_healthy(config, request, trained), engine, settings))
        healthy = evaluate_healthy(healthy_predictions, postprocessing.settings)
    served = postprocessing.settings.classes[0]
    figures: dict[str, Any] = {
        "weights": dataclasses.asdict(reference.facts),
        "part": request.part.value,
        "fold": request.fold,
        "precision": engine.precision.value,
        "threshold": served.threshold,
        "minimum_area_grid_px": served.minimum_area_grid_px,
        **to_json(evaluation, healthy),
    }
    tables = [evaluation_table(evaluation, healthy)]
    if request.temperature:
        fit = fit_temperature(chosen, predictions, reference)
        figures["temperature_fit"] = dataclasses.asdict(fit)
        tables.append(temperature_table(fit))
    if request.sweep:
        points = sweep(chosen, predictions, healthy_predictions)
        best = choose(points)
        figures["sweep"] = {"chosen": dataclasses.asdict(best), "points": [dataclasses.asdict(p) for p in points]}
        tables.append(sweep_table(points, best))
    if json_path is not None:
        write_json(json_path, figures)
    return "\n\n".join(tables)


def _choose_photographs(
    config: TrainConfig, request: EvaluationRequest
) -> tuple[list[AnnotatedPhotograph], tuple[str, ...]]:
    """The photographs to measure on, and the stems of those that trained."""
    training = list_annotated(request.data)
    split = split_stems([p.stem for p in training], config.data, fold=request.fold)
    if request.part is Part.TESTING:
        return list_annotated(request.data, part="testing"), split.training
    if request.part is Part.ALL:
        return training, split.training
    return [p for p in training if p.stem in split.validation], split.training


def _choose_healthy(
    config: TrainConfig, request: EvaluationRequest, trained: tuple[str, ...]
) -> list[GradedPhotograph]:
    """The photographs graded 0 that did not train: half of them, or all where the run used none of them."""
    graded = leave_out_copies(list_graded(request.data), trained)
    halves = split_healthy(graded, config.data)
    used = halves.training if config.healthy.batch or config.unlabelled.batch else ()
    return [p for p in graded if p.grade == 0 and p.stem not in used]
