"""The exported graph is measured as it is served, and settings are chosen by what was measured."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from segserve.contract import MODEL_INPUT, PROBABILITY

from segserve_server.engines.openvino import OpenVinoEngine, Precision
from segserve_server.imaging.metrics import count_lesions
from segserve_server.imaging.pipeline import postprocess
from segserve_server.repository.settings import load_postprocess_settings, load_preprocess_settings
from tests.training.conftest import ANNOTATED
from training.card import write_card
from training.cli import main
from training.config import TrainConfig
from training.errors import ConfigError, RunError
from training.evaluate import EvaluationRequest, Part, run_evaluation
from training.evaluation import evaluate
from training.export import export
from training.idrid import list_annotated
from training.predictions import examine, float_in_photo, predict
from training.served_graph import ReferenceEngine, sigmoid
from training.sweep import SweepPoint, choose, sweep, sweep_points


@pytest.fixture(scope="module")
def figures_path(
    config: TrainConfig, data: Path, repository: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The JSON of one evaluation with everything on."""
    path = tmp_path_factory.mktemp("figures") / "evaluation.json"
    request = EvaluationRequest(
        data=data, repository=repository, weights=weights, precision=Precision.F32, temperature=True, sweep=True
    )
    tables = run_evaluation(config, request, json_path=path)
    assert "AUPR, served" in tables
    return path


def test_the_exported_graph_takes_and_gives_bytes(weights: Path) -> None:
    session = onnxruntime.InferenceSession(str(weights), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(1).integers(0, 256, size=(2, 128, 128, 3), dtype=np.uint8)
    (probability,) = session.run([PROBABILITY], {MODEL_INPUT: images})
    assert (probability.shape, probability.dtype) == ((2, 1, 128, 128), np.uint8)


def test_the_graph_says_where_it_came_from(weights: Path) -> None:
    facts = ReferenceEngine(weights).facts
    assert (facts.run, facts.step, facts.temperature) == ("tiny", 12, 1.5)
    assert (facts.coarse, facts.coarse_negative_slope) == (0.25, 0.5)


def test_reference_logits_are_those_behind_the_served_bytes(weights: Path) -> None:
    image = np.random.default_rng(2).integers(0, 256, size=(128, 128, 3), dtype=np.uint8)
    served = OpenVinoEngine(weights, precision=Precision.F32).infer(image[np.newaxis])[0]
    probability = sigmoid(ReferenceEngine(weights).logits(image) / np.float32(1.5))
    assert np.abs(probability * 255 - served).max() < 0.51


def test_weights_of_another_origin_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is missing"):
        ReferenceEngine(tmp_path / "model.onnx")


def test_float_and_8bit_maps_lie_on_the_same_pixels(data: Path, repository: Path, weights: Path) -> None:
    settings = load_preprocess_settings(repository / "fundus_hemorrhage_preprocess/1/settings.toml").settings
    (prediction,) = predict(list_annotated(data)[:1], OpenVinoEngine(weights, precision=Precision.F32), settings)
    as_float = float_in_photo(prediction.probability[0].astype(np.float32), prediction.geometry)
    assert np.abs(as_float - prediction.probability_in_photo()).max() <= 1


def test_figures_are_those_of_the_reported_masks(data: Path, repository: Path, weights: Path) -> None:
    preprocessing = load_preprocess_settings(repository / "fundus_hemorrhage_preprocess/1/settings.toml").settings
    postprocessing = load_postprocess_settings(repository / "fundus_hemorrhage_postprocess/1/settings.toml").settings
    photographs = list_annotated(data)[:2]
    engine = OpenVinoEngine(weights, precision=Precision.F32)
    examined = examine(photographs, engine, ReferenceEngine(weights), preprocessing)
    evaluation = evaluate(examined, postprocessing)
    for one, own in zip(examined, evaluation.photographs, strict=True):
        mask = postprocess(one.prediction.probability, one.prediction.geometry, postprocessing)[0].mask()
        assert own.lesions == count_lesions(mask, one.photograph.mask("HE", shape=(160, 240)))
    points = sweep_points(sweep(examined, [one.prediction for one in examined]))
    (shipped,) = [p for p in points if (p.threshold, p.minimum_area_grid_px) == (0.5, 4.0)]
    assert shipped.dice == pytest.approx(evaluation.dice)
    assert shipped.sensitivity == pytest.approx(evaluation.lesions.sensitivity)
    assert shipped.false_per_image == pytest.approx(evaluation.false_lesions_per_image)
    assert shipped.flagged_share == sum(f.lesions.reported > 0 for f in evaluation.photographs) / 2


def test_the_best_dice_among_those_that_spare_healthy_eyes_is_chosen() -> None:
    def point(dice: float, flagged: float) -> SweepPoint:
        return SweepPoint(0.5, 0.0, dice, 0.5, 1.0, flagged)

    assert choose([point(0.9, 0.2), point(0.7, 0.15), point(0.6, 0.0)]).dice == 0.7
    assert choose([point(0.9, 0.3), point(0.7, 0.2)]).dice == 0.9
    assert choose([point(0.9, float("nan")), point(0.7, float("nan"))]).dice == 0.9


def test_the_figures_name_weights_settings_and_photographs(figures_path: Path) -> None:
    figures = json.loads(figures_path.read_text())
    assert [(n["fold"], n["step"]) for n in figures["networks"]] == [(None, 12)]
    assert (figures["threshold"], figures["minimum_area_grid_px"]) == (0.5, 4.0)
    assert len(figures["photographs"]) == 2
    assert figures["healthy"]["photographs"] == 1  # the other one trained
    assert figures["aupr_loss"] == pytest.approx(figures["aupr_float"] - figures["aupr_served"])


def test_each_part_measures_its_photographs(config: TrainConfig, data: Path, repository: Path, weights: Path) -> None:
    shared = {"data": data, "repository": repository, "weights": weights, "healthy": False}
    assert "photographs                     6" in run_evaluation(config, EvaluationRequest(**shared, part=Part.ALL))  # type: ignore[arg-type]
    assert "photographs                     2" in run_evaluation(config, EvaluationRequest(**shared, fold=3))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cross_validated(config: TrainConfig, data: Path, repository: Path, fold_runs: Path) -> Path:
    """The JSON of the pooled figures of all folds, beside their runs."""
    path = fold_runs / "tiny" / "evaluation.json"
    request = EvaluationRequest(
        data=data,
        repository=repository,
        cross_validation=fold_runs,
        precision=Precision.F32,
        temperature=True,
        sweep=True,
    )
    tables = run_evaluation(config, request, json_path=path)
    assert "chosen on the other folds" in tables
    return path


def test_cross_validation_examines_every_photograph_once(cross_validated: Path) -> None:
    figures = json.loads(cross_validated.read_text())
    assert [p["stem"] for p in figures["photographs"]] == list(ANNOTATED)
    assert [n["fold"] for n in figures["networks"]] == [1, 2, 3]
    assert len({n["sha256"] for n in figures["networks"]}) == 3
    assert figures["healthy"]["photographs"] == 3  # one photograph that only checks, by each of three networks
    assert len(figures["sweep"]["across_folds"]["choices"]) == 3


def test_pooled_lesions_are_those_of_the_single_folds(
    config: TrainConfig, data: Path, repository: Path, fold_runs: Path, cross_validated: Path, tmp_path: Path
) -> None:
    found = 0
    for fold in (1, 2, 3):
        weights, path = fold_runs / f"tiny-fold{fold}" / "weights.onnx", tmp_path / f"{fold}.json"
        request = EvaluationRequest(
            data=data, repository=repository, weights=weights, fold=fold, precision=Precision.F32, healthy=False
        )
        run_evaluation(config, request, json_path=path)
        found += json.loads(path.read_text())["lesions"]["found"]
    assert json.loads(cross_validated.read_text())["lesions"]["found"] == found


def test_cross_validation_brings_its_own_weights_and_photographs(data: Path, repository: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave those options out"):
        EvaluationRequest(data=data, repository=repository, cross_validation=tmp_path, fold=1)


def test_half_precision_halves_the_file_and_keeps_the_answer(
    config: TrainConfig, finished_run: Path, weights: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half.onnx"
    export(finished_run / "checkpoint.pt", config, output=half, temperature=1.5, half=True)
    assert half.stat().st_size < 0.6 * weights.stat().st_size
    image = np.random.default_rng(3).integers(0, 256, size=(1, 128, 128, 3), dtype=np.uint8)
    whole, halved = (OpenVinoEngine(p, precision=Precision.F32).infer(image).astype(int) for p in (weights, half))
    assert np.abs(whole - halved).max() <= 2


def test_the_card_holds_the_measured_figures(
    config: TrainConfig,
    data: Path,
    repository: Path,
    weights: Path,
    finished_run: Path,
    cross_validated: Path,
    tmp_path: Path,
) -> None:
    run = cross_validated.parent
    for name in ("log.jsonl", "run.json"):
        (run / name).write_bytes((finished_run / name).read_bytes())
    request = EvaluationRequest(data=data, repository=repository, weights=weights, part=Part.ALL)
    run_evaluation(config, request, json_path=run / "shipped.json")
    write_card(run, docs=tmp_path / "docs")
    card = (tmp_path / "docs" / "model-card.md").read_text()
    assert f"**{json.loads(cross_validated.read_text())['aupr_served']:.3f}**" in card
    assert ReferenceEngine(weights).facts.sha256 in card
    assert "| run | starts from | steps |" in card
    for name in ("tiny", "tiny-fold1", "tiny-fold2", "tiny-fold3"):
        assert f"| {name} | random | 12 of 12 | 2 annotated, 1 healthy (grade 0), 2 unlabelled |" in card
    assert "$" not in card
    for image in ("training-log.png", "reliability.png"):
        assert (tmp_path / "docs" / "images" / image).read_bytes().startswith(b"\x89PNG")
        assert f"images/{image}" in card


def test_a_card_without_figures_says_what_to_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["card", str(tmp_path)]) == 1
    assert "evaluation.json" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["train", "evaluate", "pretrain"])
def test_a_mistyped_path_gets_a_sentence(verb: str, capsys: pytest.CaptureFixture[str], config_path: Path) -> None:
    extra = ["--repository", "absent"] if verb == "evaluate" else []
    assert main([verb, str(config_path), "--data", "absent", *extra]) == 1
    assert capsys.readouterr().err.startswith("error: ")
