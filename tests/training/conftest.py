"""Tiny synthetic photographs in the folders of the compact copy, and a configuration that trains on them in seconds."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.config import (
    AugmentConfig,
    DataConfig,
    HealthyConfig,
    LoggingConfig,
    NetworkConfig,
    OptimiserConfig,
    ServedConfig,
    TrainConfig,
    UnlabelledConfig,
)
from training.export import export
from training.train import train

WIDTH, HEIGHT = 240, 160
ANNOTATED = tuple(f"S_{i:02d}" for i in range(1, 7))
HEALTHY, SICK = ("G_01", "G_02"), ("G_03",)

CONFIG_TOML = """
name = "tiny"
[data]
grid = 128
validation_count = 2
[network]
decoder_channels = [16, 16, 16, 16]
start = "random"
landmarks = true
[optimiser]
steps = 12
batch = 2
crop = 64
[healthy]
batch = 1
[unlabelled]
batch = 2
[augment]
bleeding = 0.5
[served]
coarse = 0.25
coarse_negative_slope = 0.5
[logging]
log_every = 1
checkpoint_every = 2
validate_every = 6
"""


def _write_photograph(folder: Path, stem: str, *, lesions: int, rng: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    """A reddish disc with dark spots; returns the mask of the spots, uint8 0 or 255."""
    photograph = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(photograph, (WIDTH // 2, HEIGHT // 2), 74, (40, 80, 180), cv2.FILLED)
    for _ in range(lesions):
        x, y = (int(v) for v in rng.integers(-40, 40, size=2))
        centre, radius = (WIDTH // 2 + x, HEIGHT // 2 + y), int(rng.integers(4, 9))
        cv2.circle(photograph, centre, radius, (10, 20, 70), cv2.FILLED)
        cv2.circle(mask, centre, radius, (255,), cv2.FILLED)
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{stem}.jpg"), photograph)
    return mask


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with ANNOTATED, HEALTHY and SICK photographs."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(7)
    for stem in ANNOTATED:
        mask = _write_photograph(root / "segmentation" / "images", stem, lesions=5, rng=rng)
        for lesion in ("HE", "OD"):
            folder = root / "segmentation" / "masks" / lesion
            folder.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / f"{stem}.png"), mask)
    lines = ["stem,width,height,dr_grade,dme_risk,disc_x,disc_y,fovea_x,fovea_y"]
    for stem in (*HEALTHY, *SICK):
        grade = 0 if stem in HEALTHY else 2
        _write_photograph(root / "graded" / "images", stem, lesions=grade, rng=rng)
        lines.append(f"{stem},{WIDTH},{HEIGHT},{grade},0,90.0,80.0,140.0,82.0")
    (root / "graded" / "index.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    """CONFIG_TOML as a file."""
    path = tmp_path / "tiny.toml"
    path.write_text(CONFIG_TOML)
    return path


@pytest.fixture(scope="session")
def config() -> TrainConfig:
    """CONFIG_TOML as the dataclasses it stands for."""
    return TrainConfig(
        name="tiny",
        data=DataConfig(grid=128, validation_count=2),
        network=NetworkConfig(decoder_channels=(16, 16, 16, 16), start="random", landmarks=True),
        optimiser=OptimiserConfig(steps=12, batch=2, crop=64),
        healthy=HealthyConfig(batch=1),
        unlabelled=UnlabelledConfig(batch=2),
        augment=AugmentConfig(bleeding=0.5),
        served=ServedConfig(coarse=0.25, coarse_negative_slope=0.5),
        logging=LoggingConfig(log_every=1, checkpoint_every=2, validate_every=6),
    )


@pytest.fixture(scope="session")
def finished_run(config: TrainConfig, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing interrupted."""
    output = tmp_path_factory.mktemp("runs") / "finished"
    train(config, data=data, output=output)
    return output


@pytest.fixture(scope="session")
def weights(config: TrainConfig, finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run's exported ONNX."""
    output = tmp_path_factory.mktemp("weights") / "model.onnx"
    export(finished_run / "checkpoint.pt", config, output=output, temperature=1.5)
    return output


@pytest.fixture(scope="session")
def fold_runs(config: TrainConfig, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run of each fold and its weights in half precision."""
    runs = tmp_path_factory.mktemp("folds")
    for fold in (1, 2, 3):
        run = runs / f"tiny-fold{fold}"
        checkpoint = train(config, data=data, output=run, fold=fold)
        export(checkpoint, config, output=run / "weights.onnx", temperature=1.5, half=True)
    return runs


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The settings of a model repository on a grid of 128; it holds no weights."""
    root = tmp_path_factory.mktemp("repository")
    files = {
        "preprocess": "grid = 128\n",
        "postprocess": f"""
[model]
name = "fundus_hemorrhage"
version = "1"
segment = "fundus_hemorrhage_segment"
segment_version = 1
weights_sha256 = "{"0" * 64}"
[[classes]]
name = "hemorrhage"
color = "#e6194b"
threshold = 0.5
minimum_area_grid_px = 4.0
""",
    }
    for step, content in files.items():
        folder = root / f"fundus_hemorrhage_{step}" / "1"
        folder.mkdir(parents=True)
        (folder / "settings.toml").write_text(content)
    return root
