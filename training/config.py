"""One TOML file per run, parsed into frozen dataclasses that refuse what they do not know."""

import dataclasses
import tomllib
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from training.errors import ConfigError

_T = TypeVar("_T")

COARSE = 4
"""Grid pixels on each side that are one pixel of the second look (ServedConfig.coarse)."""


def _require(condition: object, message: str) -> None:
    if not condition:
        raise ConfigError(message)


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which photographs, on which grid.

    ``validation_count`` photographs are held out by ``split_seed``; 0 trains on all. With a fold chosen on the command
    line, one of ``folds`` equal parts is held out instead. ``training_count``: train on this many of the others, drawn
    by the same seed; 0 is all.
    """

    grid: int = 1024
    split_seed: int = 20261121
    validation_count: int = 10
    folds: int = 3
    training_count: int = 0

    def __post_init__(self) -> None:
        _require(self.grid > 0 and self.grid % 32 == 0, f"data.grid must be a multiple of 32, not {self.grid}")
        _require(
            min(self.validation_count, self.training_count) >= 0,
            "data.validation_count and data.training_count must not be negative",
        )
        _require(self.folds >= 2, f"data.folds must be 2 or more, not {self.folds}")


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """U-Net whose decoder stops at half the input's resolution; its logits are upsampled bilinearly.

    ``decoder_channels``: one width per decoder block, deepest first. ``start``: where the encoder's weights come from,
    ``imagenet``, ``random``, the path of a checkpoint that ``pretrain`` wrote, or of one that ``train`` wrote, whose
    whole averaged network is taken; ``{fold}`` in a path stands for the fold. ``landmarks``: also heat maps of the
    optic disc's and the fovea's centre.
    """

    encoder: str = "efficientnet_lite0"
    decoder_channels: tuple[int, ...] = (128, 96, 64, 32)
    start: str = "imagenet"
    landmarks: bool = False

    def __post_init__(self) -> None:
        _require(len(self.decoder_channels) == 4, "network.decoder_channels needs four widths, deepest first")


@dataclass(frozen=True, slots=True)
class OptimiserConfig:
    """AdamW under a one-cycle schedule, exponential moving average of the weights. ``batch``: crops of all workers."""

    seed: int = 1
    steps: int = 3000
    batch: int = 4
    crop: int = 512
    learning_rate: float = 7e-4
    weight_decay: float = 1e-2
    ema_decay: float = 0.997

    def __post_init__(self) -> None:
        _require(self.steps > 0 and self.batch > 0, "optimiser.steps and optimiser.batch must be positive")
        _require(self.crop > 0 and self.crop % 32 == 0, f"optimiser.crop must be a multiple of 32, not {self.crop}")


@dataclass(frozen=True, slots=True)
class UnlabelledConfig:
    """Photographs without masks, ``batch`` crops of them in each step; they teach reconstruction and landmarks."""

    batch: int = 0

    def __post_init__(self) -> None:
        _require(self.batch >= 0, "unlabelled.batch must not be negative")


@dataclass(frozen=True, slots=True)
class HealthyConfig:
    """Photographs graded 0, ``batch`` crops of them in each step: whatever is marked in them is false.

    Half of them, drawn by DataConfig.split_seed, only ever check and are never trained on.
    """

    batch: int = 0

    def __post_init__(self) -> None:
        _require(self.batch >= 0, "healthy.batch must not be negative")


@dataclass(frozen=True, slots=True)
class PseudoLabelConfig:
    """Graded photographs whose masks trained networks drew, ``batch`` crops of them in each step.

    ``masks``: the folder that ``pseudo-label`` wrote; ``{fold}`` stands for the fold, as in NetworkConfig.start.
    """

    batch: int = 0
    masks: str = ""

    def __post_init__(self) -> None:
        _require(self.batch >= 0, "pseudo_labels.batch must not be negative")
        _require(self.batch == 0 or self.masks, "pseudo_labels.batch needs pseudo_labels.masks, a folder")


@dataclass(frozen=True, slots=True)
class OverviewConfig:
    """Mosaics of whole annotated photographs at the resolution of the second look, ``batch`` of them in each step."""

    batch: int = 0

    def __post_init__(self) -> None:
        _require(self.batch >= 0, "overview.batch must not be negative")


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """``bleeding``: share of the annotated crops that get a large bleeding painted in, 0 to 1."""

    bleeding: float = 0.0

    def __post_init__(self) -> None:
        _require(0 <= self.bleeding <= 1, f"augment.bleeding must be between 0 and 1, not {self.bleeding}")


@dataclass(frozen=True, slots=True)
class LossConfig:
    """Weights of the tasks. The first class is the one served; the others help the shared features."""

    auxiliary: float = 0.3
    reconstruction: float = 0.1
    landmarks: float = 0.1


@dataclass(frozen=True, slots=True)
class ServedConfig:
    """What the exported graph does beyond the network.

    ``coarse``: weight of the logits of a second look at a quarter of the resolution, added to those of the first. It
    sees bleedings that are larger than what the network takes in at full resolution. 0: no second look.
    ``coarse_negative_slope``: share of that weight that its negative logits have (LeakyReLU). At that resolution it
    cannot see small bleedings: that it denies one counts for less than that it finds one.
    ``short_height``: rows of the grid that suffice for a disc that the camera cuts off above and below; engines then
    leave the dark ones out. 0: always the whole grid.
    """

    coarse: float = 0.0
    coarse_negative_slope: float = 1.0
    short_height: int = 0

    def __post_init__(self) -> None:
        _require(self.coarse >= 0, f"served.coarse must not be negative: {self.coarse}")
        slope = self.coarse_negative_slope
        _require(0 <= slope <= 1, f"served.coarse_negative_slope must be 0 to 1, not {slope}")


@dataclass(frozen=True, slots=True)
class MocoConfig:
    """Momentum contrast: size of the projection, keys in the queue, encoder momentum, softmax temperature."""

    dimension: int = 128
    queue: int = 2048
    momentum: float = 0.99
    temperature: float = 0.2

    def __post_init__(self) -> None:
        _require(0 < self.momentum < 1, f"moco.momentum must be between 0 and 1, not {self.momentum}")


@dataclass(frozen=True, slots=True)
class LoggingConfig:
    """How often to log, to write a checkpoint and to validate, in steps."""

    log_every: int = 100
    checkpoint_every: int = 100
    validate_every: int = 500

    def __post_init__(self) -> None:
        _require(
            min(self.log_every, self.checkpoint_every, self.validate_every) > 0, "logging intervals must be positive"
        )


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that decides a training run."""

    name: str
    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    healthy: HealthyConfig = field(default_factory=HealthyConfig)
    unlabelled: UnlabelledConfig = field(default_factory=UnlabelledConfig)
    pseudo_labels: PseudoLabelConfig = field(default_factory=PseudoLabelConfig)
    overview: OverviewConfig = field(default_factory=OverviewConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    served: ServedConfig = field(default_factory=ServedConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)

    def __post_init__(self) -> None:
        fits = self.served.coarse == 0 or self.data.grid % (32 * COARSE) == 0
        _require(fits, f"served.coarse needs a data.grid that is a multiple of {32 * COARSE}, not {self.data.grid}")
        height, step = self.served.short_height, 32 * (COARSE if self.served.coarse else 1)
        short = 0 <= height < self.data.grid and height % step == 0
        _require(short, f"served.short_height must be less than data.grid and a multiple of {step}, not {height}")
        tiles = self.overview.batch == 0 or self.optimiser.crop * COARSE % self.data.grid == 0
        _require(tiles, f"overview.batch needs an optimiser.crop that is a multiple of data.grid / {COARSE}")


@dataclass(frozen=True, slots=True)
class PretrainConfig:
    """Everything that decides a pre-training run of the encoder."""

    name: str
    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    moco: MocoConfig = field(default_factory=MocoConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)

    def __post_init__(self) -> None:
        _require(
            self.moco.queue % self.optimiser.batch == 0,
            "moco.queue must be a multiple of optimiser.batch: whole batches",
        )


def load_config(path: Path, kind: type[_T]) -> _T:
    """Read a run's configuration as ``kind``. Raises ConfigError for an unreadable file or a wrong key, naming it."""
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error
    return _build(kind, raw, path.name)


def for_fold(config: TrainConfig, fold: int | None) -> TrainConfig:
    """``config`` with the fold's own paths. Raises ConfigError where one is needed and no fold was chosen."""

    def own(path: str) -> str:
        if fold is None and "{fold}" in path:
            raise ConfigError(f"{config.name} reads {path}: choose a fold (--fold)")
        return path.replace("{fold}", str(fold))

    return dataclasses.replace(
        config,
        network=dataclasses.replace(config.network, start=own(config.network.start)),
        pseudo_labels=dataclasses.replace(config.pseudo_labels, masks=own(config.pseudo_labels.masks)),
    )


def _build(kind: type[_T], raw: Any, where: str) -> _T:
    if not isinstance(raw, dict):
        raise ConfigError(f"{where} must be a table")
    types = typing.get_type_hints(kind)
    unknown = sorted(set(raw) - set(types))
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(types)}")
    values: dict[str, Any] = {}
    for name, value in raw.items():
        wanted = types[name]
        if isinstance(wanted, type) and dataclasses.is_dataclass(wanted):
            values[name] = _build(wanted, value, f"{where}[{name}]")
        elif typing.get_origin(wanted) is tuple and isinstance(value, list):
            values[name] = tuple(value)
        elif wanted is float and type(value) is int:
            values[name] = float(value)
        elif type(value) is wanted:
            values[name] = value
        else:
            raise ConfigError(f"{where}: {name} must be of type {wanted.__name__}, not {type(value).__name__}")
    if "name" in types and "name" not in values:
        raise ConfigError(f"{where} lacks a name")
    return kind(**values)
