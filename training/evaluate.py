"""``python -m training evaluate``: exported weights, measured through the pipeline that serves them."""

import dataclasses
import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segserve_server.engines.openvino import OpenVinoEngine, Precision
from segserve_server.imaging.settings import PreprocessSettings
from segserve_server.repository.settings import FILE_NAME, load_postprocess_settings, load_preprocess_settings
from segserve_server.repository.weights import weights_path
from training.config import TrainConfig
from training.errors import ConfigError
from training.evaluation import evaluate, evaluate_healthy
from training.figures import across_table, evaluation_table, sweep_table, temperature_table, to_json, write_json
from training.idrid import AnnotatedPhotograph, GradedPhotograph, leave_out_copies, list_annotated, list_graded
from training.predictions import Examined, Prediction, examine, predict
from training.served_graph import GraphFacts, ReferenceEngine
from training.split import split_healthy, split_stems
from training.sweep import choose, choose_across, sweep, sweep_points
from training.temperature import fit_temperature

_MODEL = "fundus_hemorrhage"


class Part(enum.Enum):
    """Which annotated photographs to measure on. TESTING: the official split, for acceptance, never for a choice."""

    VALIDATION = "validation"
    ALL = "all"
    TESTING = "testing"


@dataclass(frozen=True, slots=True)
class EvaluationRequest:
    """What to measure and on what.

    ``fold``: hold out this one instead of the configuration's photographs. ``cross_validation``: a folder that holds,
    for each fold, ``<name of the configuration>-fold<K>/weights.onnx``; each network examines the photographs that it
    did not see, and the figures are pooled over all of them.
    """

    data: Path
    repository: Path
    weights: Path | None = None
    part: Part = Part.VALIDATION
    fold: int | None = None
    cross_validation: Path | None = None
    precision: Precision = Precision.AUTO
    healthy: bool = True
    temperature: bool = False
    sweep: bool = False

    def __post_init__(self) -> None:
        alone = self.weights is None and self.fold is None and self.part is Part.VALIDATION
        if self.cross_validation is not None and not alone:
            raise ConfigError("cross-validation brings its own weights, folds and photographs: leave those options out")


@dataclass(frozen=True, slots=True)
class _Part:
    """What one network says of the photographs that it is measured on."""

    facts: GraphFacts
    fold: int | None
    precision: Precision
    examined: list[Examined]
    healthy: list[Prediction]


def run_evaluation(config: TrainConfig, request: EvaluationRequest, *, json_path: Path | None = None) -> str:
    """Measure, write the figures as JSON where asked to, and return them as tables."""
    preprocessing = load_preprocess_settings(request.repository / f"{_MODEL}_preprocess" / "1" / FILE_NAME)
    postprocessing = load_postprocess_settings(request.repository / f"{_MODEL}_postprocess" / "1" / FILE_NAME)
    settings = preprocessing.settings
    if request.weights is not None or request.cross_validation is not None:
        settings = dataclasses.replace(settings, grid=config.data.grid)  # runs on another grid than the served one
    networks = _list_networks(config, request, served=weights_path(request.repository, postprocessing.model))
    parts = [_examine(config, request, settings, weights=path, fold=fold) for path, fold in networks]
    examined = [one for part in parts for one in part.examined]
    evaluation = evaluate(examined, postprocessing.settings)
    healthy = [one for part in parts for one in part.healthy]
    healthy_figures = evaluate_healthy(healthy, postprocessing.settings) if request.healthy else None
    served = postprocessing.settings.classes[0]
    figures: dict[str, Any] = {
        "networks": [{"fold": part.fold, **dataclasses.asdict(part.facts)} for part in parts],
        "part": request.part.value,
        "precision": parts[0].precision.value,
        "threshold": served.threshold,
        "minimum_area_grid_px": served.minimum_area_grid_px,
        **to_json(evaluation, healthy_figures),
    }
    tables = [evaluation_table(evaluation, healthy_figures)]
    if request.temperature:
        fit = fit_temperature(examined)
        figures["temperature_fit"] = dataclasses.asdict(fit)
        tables.append(temperature_table(fit))
    if request.sweep:
        folds = [sweep(part.examined, part.healthy) for part in parts]
        points = sweep_points(sum(folds[1:], start=folds[0]))
        best = choose(points)
        figures["sweep"] = {"chosen": dataclasses.asdict(best), "points": [dataclasses.asdict(p) for p in points]}
        tables.append(sweep_table(points, best))
        if len(folds) > 1:
            across = choose_across(folds)
            figures["sweep"]["across_folds"] = dataclasses.asdict(across)
            tables.append(across_table(across))
    if json_path is not None:
        write_json(json_path, figures)
    return "\n\n".join(tables)


def _list_networks(config: TrainConfig, request: EvaluationRequest, *, served: Path) -> list[tuple[Path, int | None]]:
    """Weights and the fold that they are measured on; ``served``: the weights to take where none are named."""
    if request.cross_validation is None:
        return [(request.weights or served, request.fold)]
    folds = range(1, config.data.folds + 1)
    return [(request.cross_validation / f"{config.name}-fold{fold}" / "weights.onnx", fold) for fold in folds]


def _examine(
    config: TrainConfig, request: EvaluationRequest, settings: PreprocessSettings, *, weights: Path, fold: int | None
) -> _Part:
    reference = ReferenceEngine(weights)
    engine = OpenVinoEngine(weights, precision=request.precision)
    chosen, trained = _choose_photographs(config, request, fold)
    if not chosen:
        raise ConfigError(f"{config.name} holds no photograph out: choose --fold, --cross-validation or --split all")
    examined = examine(chosen, engine, reference, settings)
    healthy = list(predict(_choose_healthy(config, request, trained), engine, settings)) if request.healthy else []
    return _Part(reference.facts, fold, engine.precision, examined, healthy)


def _choose_photographs(
    config: TrainConfig, request: EvaluationRequest, fold: int | None
) -> tuple[list[AnnotatedPhotograph], tuple[str, ...]]:
    """The photographs to measure on, and the stems of those that trained."""
    training = list_annotated(request.data)
    split = split_stems([p.stem for p in training], config.data, fold=fold)
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
