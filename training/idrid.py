"""IDRiD's segmentation photographs, seen through the server's own preprocessing."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from segserve_server.imaging.geometry import Geometry
from segserve_server.imaging.pipeline import preprocess
from segserve_server.imaging.resample import photo_to_model
from segserve_server.imaging.settings import PreprocessSettings

UInt8Array = npt.NDArray[np.uint8]

LESIONS = ("HE", "MA", "EX", "SE", "OD")
"""Annotated structures, the served one first: haemorrhages, microaneurysms, hard and soft exudates, optic disc."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A photograph on the model grid. ``image``: uint8 [grid, grid, 3]; ``masks``: uint8 [grid, grid, 5], 255 x share."""

    stem: str
    image: UInt8Array
    masks: UInt8Array
    geometry: Geometry


def list_photographs(root: Path) -> list[Path]:
    """The segmentation photographs under ``root`` (``segmentation/images/*.jpg``), sorted."""
    photographs = sorted((root / "segmentation" / "images").glob("*.jpg"))
    if not photographs:
        raise FileNotFoundError(f"no photographs under {root}/segmentation/images")
    return photographs


def read_mask(root: Path, lesion: str, stem: str, *, shape: tuple[int, int]) -> UInt8Array:
    """An annotation, uint8 0 or 255 in the photograph's grid; all zero where nothing of its kind is annotated."""
    path = root / "segmentation" / "masks" / lesion / f"{stem}.png"
    if not path.exists():
        return np.zeros(shape, np.uint8)
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None or mask.shape != shape:
        raise ValueError(f"{path} is not a mask of {shape[1]} x {shape[0]} pixels")
    return ((mask > 0) * 255).astype(np.uint8)


def load_samples(root: Path, *, grid: int) -> list[Sample]:
    """All photographs and masks on the model grid, masks averaged over each model pixel."""
    samples = []
    for path in tqdm(list_photographs(root), desc="preprocess", unit="photo"):
        seen = preprocess(path.read_bytes(), PreprocessSettings(grid=grid))
        shape = (seen.header.height, seen.header.width)
        masks = [photo_to_model(read_mask(root, name, path.stem, shape=shape), seen.geometry) for name in LESIONS]
        samples.append(Sample(path.stem, seen.pixels, np.stack(masks, axis=2), seen.geometry))
    return samples


def split_stems(stems: list[str], *, seed: int, validation_count: int) -> tuple[list[str], list[str]]:
    """Training and validation stems, drawn once by ``seed``."""
    order = np.random.default_rng(seed).permutation(len(stems))
    held_out = {stems[i] for i in order[:validation_count]}
    return [s for s in stems if s not in held_out], [s for s in stems if s in held_out]
