"""One TOML file per run, parsed into frozen dataclasses that refuse what they do not know."""

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class ConfigError(Exception):
    """The training configuration names an unknown key or a value out of range."""


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which photographs, on which grid. ``validation_count`` photographs are held out by ``split_seed``."""

    grid: int = 1024
    split_seed: int = 20261121
    validation_count: int = 10


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """U-Net whose decoder stops at half the input's resolution; its logits are upsampled bilinearly.

    ``decoder_channels``: one width per decoder block, deepest first. ``imagenet``: start the encoder from ImageNet.
    """

    encoder: str = "efficientnet_lite0"
    decoder_channels: tuple[int, ...] = (128, 96, 64, 32)
    imagenet: bool = True


@dataclass(frozen=True, slots=True)
class OptimiserConfig:
    """AdamW under a one-cycle schedule, exponential moving average of the weights."""

    seed: int = 1
    steps: int = 3000
    batch: int = 4
    crop: int = 512
    learning_rate: float = 7e-4
    weight_decay: float = 1e-2
    ema_decay: float = 0.997


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Weights of the tasks. The first class is the one served; the others help the shared features."""

    auxiliary: float = 0.3
    reconstruction: float = 0.1


@dataclass(frozen=True, slots=True)
class LoggingConfig:
    """How often to write a checkpoint and to validate, in steps."""

    checkpoint_every: int = 100
    validate_every: int = 500


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a run."""

    name: str
    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)


def load_config(path: Path) -> TrainConfig:
    """Read a run's configuration. Raises ConfigError for an unknown key, naming it."""
    with path.open("rb") as file:
        raw = tomllib.load(file)
    return _build(TrainConfig, raw, path.name)


def _build(kind: Any, raw: dict[str, Any], where: str) -> Any:
    fields = {f.name: f for f in dataclasses.fields(kind)}
    unknown = sorted(set(raw) - set(fields))
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; known are {sorted(fields)}")
    values = {}
    for name, value in raw.items():
        if isinstance(value, dict):
            value = _build(fields[name].default_factory, value, f"{where}[{name}]")  # type: ignore[arg-type]
        elif isinstance(value, list):
            value = tuple(value)
        values[name] = value
    return kind(**values)
