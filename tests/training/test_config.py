"""A run's TOML becomes dataclasses, and a mistake in it a sentence."""

from pathlib import Path

import pytest

from training.config import MocoConfig, NetworkConfig, PretrainConfig, TrainConfig, for_fold, load_config
from training.errors import ConfigError

CONFIGS = sorted((Path(__file__).parents[2] / "training" / "configs").rglob("*.toml"))


def test_a_file_becomes_the_configuration_it_describes(config_path: Path, config: TrainConfig) -> None:
    assert load_config(config_path, TrainConfig) == config


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configurations_in_the_repository_are_valid(path: Path) -> None:
    pretraining = path.stem.startswith("pretrain")
    config = load_config(path, PretrainConfig) if pretraining else load_config(path, TrainConfig)
    assert config.name == path.stem


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "lacks a name"),
        ("name = 3", "name must be of type str"),
        ('name = "x"\nspeed = 1', "unknown key 'speed'"),
        ('name = "x"\n[optimiser]\nstep = 1', "unknown key 'step'"),
        ('name = "x"\noptimiser = 1', "must be a table"),
        ('name = "x"\n[optimiser]\nsteps = 1.5', "steps must be of type int"),
        ('name = "x"\n[optimiser]\nsteps = 0', "must be positive"),
        ('name = "x"\n[optimiser]\ncrop = 100', "multiple of 32"),
        ('name = "x"\n[data]\nfolds = 1', "2 or more"),
        ("name =", "not valid TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=complaint):
        load_config(path, TrainConfig)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        load_config(tmp_path / "absent.toml", TrainConfig)


def test_the_queue_holds_whole_batches() -> None:
    with pytest.raises(ConfigError, match="queue"):
        PretrainConfig("x", moco=MocoConfig(queue=7))


def test_each_fold_starts_from_its_own_checkpoint() -> None:
    config = TrainConfig("x", network=NetworkConfig(start="runs/moco-fold{fold}/checkpoint.pt"))
    assert for_fold(config, 2).network.start == "runs/moco-fold2/checkpoint.pt"
    assert for_fold(TrainConfig("x"), None) == TrainConfig("x")
    with pytest.raises(ConfigError, match="choose a fold"):
        for_fold(config, None)
