"""The mean of several networks' weights."""

import dataclasses
from pathlib import Path

import pytest
import torch

from training.checkpoint import load_checkpoint
from training.cli import main
from training.config import TrainConfig
from training.errors import RunError
from training.export import export
from training.soup import average_checkpoints
from training.train import train


def test_the_mean_of_two_networks_can_be_exported(config: TrainConfig, fold_runs: Path, tmp_path: Path) -> None:
    paths = [fold_runs / f"tiny-fold{fold}" / "checkpoint.pt" for fold in (1, 2)]
    output = tmp_path / "mean" / "checkpoint.pt"

    assert main(["average", *map(str, paths), str(output)]) == 0

    first, second, mean = (load_checkpoint(path)["average"] for path in (*paths, output))
    assert not torch.equal(first["head.weight"], second["head.weight"])
    for name, tensor in mean.items():
        expected = (first[name] + second[name]) / 2 if tensor.is_floating_point() else second[name]
        assert torch.allclose(tensor, expected), name
    export(output, config, output=tmp_path / "model.onnx", temperature=1.0)


def test_what_cannot_be_averaged_is_named(
    config: TrainConfig, data: Path, finished_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = finished_run / "checkpoint.pt"
    other = dataclasses.replace(
        config,
        network=dataclasses.replace(config.network, landmarks=False),
        optimiser=dataclasses.replace(config.optimiser, steps=1),
    )
    misfit = train(other, data=data, output=tmp_path / "other")
    with pytest.raises(RunError, match="not a checkpoint of the same network"):
        average_checkpoints([checkpoint, misfit], tmp_path / "mean.pt")
    with pytest.raises(RunError, match="two checkpoints or more"):
        average_checkpoints([checkpoint], tmp_path / "mean.pt")
    assert main(["average", str(checkpoint), str(tmp_path / "absent.pt"), str(tmp_path / "mean.pt")]) == 1
    assert "absent.pt" in capsys.readouterr().err
    assert not (tmp_path / "mean.pt").exists()
