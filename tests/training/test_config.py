"""A run's TOML becomes dataclasses, and a mistake in it a sentence."""

from pathlib import Path

import pytest

from training.config import (
    MocoConfig,
    NetworkConfig,
    PretrainConfig,
    PseudoLabelConfig,
    TrainConfig,
    for_fold,
    load_config,
)
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
        ('name = "x"\n[augment]\nbleeding = 1.5', "between 0 and 1"),
        ('name = "x"\n[served]\ncoarse = -1.0', "must not be negative"),
        ('name = "x"\n[served]\ncoarse_negative_slope = 1.5', "must be 0 to 1"),
        ('name = "x"\n[data]\ngrid = 96\n[served]\ncoarse = 0.3', "multiple of 128"),
        ('name = "x"\n[served]\nshort_height = 1024', "less than data.grid and a multiple of 32"),
        ('name = "x"\n[served]\nshort_height = -32', "less than data.grid"),
        ('name = "x"\n[served]\ncoarse = 0.3\nshort_height = 864', "multiple of 128, not 864"),
        ('name = "x"\n[pseudo_labels]\nbatch = 1', "needs pseudo_labels.masks"),
        ('name = "x"\n[pseudo_labels]\nbatch = -1', "must not be negative"),
        ('name = "x"\n[overview]\nbatch = -1', "must not be negative"),
        ('name = "x"\n[optimiser]\ncrop = 224\n[overview]\nbatch = 1', "multiple of data.grid / 4"),
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


def test_each_fold_has_its_own_paths() -> None:
    config = TrainConfig("x", network=NetworkConfig(start="runs/moco-fold{fold}/checkpoint.pt"))
    assert for_fold(config, 2).network.start == "runs/moco-fold2/checkpoint.pt"
    assert for_fold(TrainConfig("x"), None) == TrainConfig("x")
    taught = TrainConfig("x", pseudo_labels=PseudoLabelConfig(batch=1, masks="runs/masks-fold{fold}"))
    assert for_fold(taught, 3).pseudo_labels.masks == "runs/masks-fold3"
    with pytest.raises(ConfigError, match="choose a fold"):
        for_fold(config, None)
