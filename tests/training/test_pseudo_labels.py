"""Masks that networks draw, and training on them."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.training.conftest import SICK
from training.cli import main
from training.config import OverviewConfig, PseudoLabelConfig, TrainConfig
from training.errors import DataError, RunError
from training.figures import read_json
from training.idrid import LESIONS, list_unannotated
from training.pseudo_labels import pseudo_label
from training.run_log import read_log
from training.train import train


@pytest.fixture(scope="module")
def masks(config: TrainConfig, data: Path, finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the finished run's network draws."""
    output = tmp_path_factory.mktemp("masks")
    assert pseudo_label(config, [finished_run / "checkpoint.pt"], data=data, output=output) == len(SICK)
    return output


def test_only_photographs_that_may_bleed_get_masks(data: Path, masks: Path) -> None:
    assert [p.stem for p in list_unannotated(data)] == list(SICK)
    for lesion in LESIONS:
        assert [path.name for path in (masks / lesion).iterdir()] == [f"{stem}.png" for stem in SICK]


def test_masks_are_probabilities_on_the_model_grid(masks: Path) -> None:
    mask = cv2.imread(str(masks / "HE" / f"{SICK[0]}.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert mask.dtype == np.uint8
    assert mask.shape == (128, 128)
    assert len(np.unique(mask)) > 10


def test_masks_that_are_there_stay(config: TrainConfig, data: Path, finished_run: Path, tmp_path: Path) -> None:
    for lesion in LESIONS:
        (tmp_path / lesion).mkdir()
        cv2.imwrite(str(tmp_path / lesion / f"{SICK[0]}.png"), np.full((128, 128), 7, np.uint8))
    pseudo_label(config, [finished_run / "checkpoint.pt"], data=data, output=tmp_path)
    assert (cv2.imread(str(tmp_path / "HE" / f"{SICK[0]}.png"), cv2.IMREAD_UNCHANGED) == 7).all()


def test_several_networks_and_views_are_averaged(
    config: TrainConfig, data: Path, finished_run: Path, fold_runs: Path, tmp_path: Path
) -> None:
    checkpoints = [finished_run / "checkpoint.pt", fold_runs / "tiny-fold1" / "checkpoint.pt"]
    drawn = []
    for name, chosen in (("first", checkpoints[:1]), ("second", checkpoints[1:]), ("both", checkpoints)):
        pseudo_label(config, chosen, data=data, output=tmp_path / name, views=1)
        drawn.append(cv2.imread(str(tmp_path / name / "HE" / f"{SICK[0]}.png"), cv2.IMREAD_UNCHANGED).astype(float))
    assert np.abs(drawn[2] - (drawn[0] + drawn[1]) / 2).max() <= 1


def test_a_network_learns_from_them_and_from_overviews(
    config: TrainConfig, data: Path, masks: Path, tmp_path: Path
) -> None:
    student = dataclasses.replace(
        config,
        optimiser=dataclasses.replace(config.optimiser, steps=2),
        pseudo_labels=PseudoLabelConfig(batch=1, masks=str(masks)),
        overview=OverviewConfig(batch=1),
    )
    train(student, data=data, output=tmp_path)
    assert [record["step"] for record in read_log(tmp_path / "log.jsonl")] == [1, 2]
    assert read_json(tmp_path / "run.json")["pseudo_labelled"] == len(SICK)


def test_missing_and_misfitting_masks_are_named(config: TrainConfig, data: Path, tmp_path: Path) -> None:
    student = dataclasses.replace(config, pseudo_labels=PseudoLabelConfig(batch=1, masks=str(tmp_path)))
    with pytest.raises(DataError, match="draw them with python -m training pseudo-label"):
        train(student, data=data, output=tmp_path / "run")
    (tmp_path / "HE").mkdir()
    cv2.imwrite(str(tmp_path / "HE" / f"{SICK[0]}.png"), np.zeros((64, 64), np.uint8))
    with pytest.raises(DataError, match="64 x 64 pixels, the model grid 128 x 128"):
        train(student, data=data, output=tmp_path / "run")


def test_the_command_names_what_is_wrong(
    config: TrainConfig,
    config_path: Path,
    data: Path,
    finished_run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = str(tmp_path / "masks")
    checkpoint = str(finished_run / "checkpoint.pt")
    command = ["pseudo-label", str(config_path), checkpoint, output, "--data", str(data), "--views", "1"]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("1 photographs have masks in")
    assert main([*command[:2], str(tmp_path / "absent.pt"), *command[3:]]) == 1
    assert "absent.pt" in capsys.readouterr().err
    with pytest.raises(RunError, match="views must be 1 to 4"):
        pseudo_label(config, [Path(checkpoint)], data=data, output=tmp_path, views=5)
    other = dataclasses.replace(config, network=dataclasses.replace(config.network, landmarks=False))
    with pytest.raises(RunError, match="not a checkpoint of tiny"):
        pseudo_label(other, [Path(checkpoint)], data=data, output=tmp_path)
