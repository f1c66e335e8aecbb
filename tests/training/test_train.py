"""Runs end with the same weights whether they were killed or not, on one worker or several."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from training.checkpoint import load_checkpoint
from training.config import DataConfig, MocoConfig, NetworkConfig, PretrainConfig, TrainConfig
from training.errors import ConfigError, RunError
from training.figures import read_json
from training.pretrain import pretrain
from training.run_log import read_log
from training.train import train

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120


def _kill_after(command: list[str], *, log: Path, step: int) -> None:
    """Start a run and kill it, unwarned, when its log has reached ``step``."""
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not any(record["step"] >= step for record in read_log(log)):
            assert process.poll() is None, "the run ended before it was killed"
            assert time.monotonic() < deadline, "the run never got that far"
            time.sleep(0.005)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def test_a_killed_run_goes_on_to_the_same_weights_and_log(
    config: TrainConfig, config_path: Path, data: Path, finished_run: Path, tmp_path: Path
) -> None:
    output = tmp_path / "killed"
    command = [
        sys.executable,
        "-m",
        "training",
        "train",
        str(config_path),
        "--data",
        str(data),
        "--output",
        str(output),
    ]
    _kill_after(command, log=output / "log.jsonl", step=3)
    assert 2 <= load_checkpoint(output / "checkpoint.pt")["step"] < config.optimiser.steps
    train(config, data=data, output=output)

    resumed, uninterrupted = (load_checkpoint(folder / "checkpoint.pt") for folder in (output, finished_run))
    assert resumed["step"] == config.optimiser.steps
    for part in ("network", "average"):
        for name, tensor in uninterrupted[part].items():
            assert torch.equal(resumed[part][name], tensor), f"{part} {name}"
    logs = [read_log(folder / "log.jsonl") for folder in (output, finished_run)]
    steps, expected = ([(r["step"], r.get("loss"), r.get("validation_aupr")) for r in log] for log in logs)
    assert steps == expected


def test_a_finished_run_is_left_as_it_is(config: TrainConfig, data: Path, finished_run: Path) -> None:
    before = (finished_run / "log.jsonl").read_text()
    train(config, data=data, output=finished_run)
    assert (finished_run / "log.jsonl").read_text() == before


def test_a_run_says_what_it_was_trained_on(finished_run: Path) -> None:
    facts = read_json(finished_run / "run.json")
    assert len(facts["training"]) == 4
    assert len(facts["validation"]) == 2
    assert facts["healthy"] == 1
    assert facts["unlabelled"] == 2  # the other healthy one only checks


def test_another_configuration_does_not_go_on_with_a_run(config: TrainConfig, data: Path, finished_run: Path) -> None:
    other = dataclasses.replace(config, network=dataclasses.replace(config.network, landmarks=False))
    with pytest.raises(RunError, match="another configuration"):
        train(other, data=data, output=finished_run)


def test_holding_out_everything_is_refused(config: TrainConfig, data: Path, tmp_path: Path) -> None:
    other = dataclasses.replace(config, data=DataConfig(grid=128, validation_count=6))
    with pytest.raises(ConfigError, match="holds out all 6"):
        train(other, data=data, output=tmp_path)


def test_two_workers_train_with_the_same_command(config_path: Path, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "two"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, "-m", "training", "train", str(config_path), "--data", str(data), "--output", str(output)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr[-2000:]
    assert [record["step"] for record in read_log(output / "log.jsonl")] == list(range(1, 13))


def test_training_starts_from_a_pretrained_encoder(config: TrainConfig, data: Path, tmp_path: Path) -> None:
    settings = PretrainConfig(
        name="tiny",
        data=config.data,
        network=NetworkConfig(decoder_channels=(16, 16, 16, 16), start="random"),
        optimiser=dataclasses.replace(config.optimiser, steps=3),
        moco=MocoConfig(queue=8, dimension=16),
        logging=config.logging,
    )
    checkpoint = pretrain(settings, data=data, output=tmp_path / "pretrain")
    encoder = load_checkpoint(checkpoint)["encoder"]
    started = dataclasses.replace(
        config,
        network=dataclasses.replace(config.network, start=str(checkpoint)),
        optimiser=dataclasses.replace(config.optimiser, steps=1, learning_rate=1e-12),
    )
    network = load_checkpoint(train(started, data=data, output=tmp_path / "run"))["network"]
    name = next(name for name in encoder if name.endswith("conv_stem.weight"))
    assert torch.allclose(network[f"encoder.{name}"], encoder[name], atol=1e-6)


def test_a_file_that_is_no_checkpoint_is_named(config: TrainConfig, data: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(RunError, match=r"checkpoint\.pt is not a checkpoint"):
        train(config, data=data, output=tmp_path)
