"""Photographs and masks on the model grid, seen through the server's own preprocessing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from segserve_server.imaging.decode import UInt8Array
from segserve_server.imaging.geometry import Geometry
from segserve_server.imaging.pipeline import preprocess
from segserve_server.imaging.resample import photo_to_model
from segserve_server.imaging.settings import PreprocessSettings
from training.errors import DataError
from training.idrid import LESIONS, AnnotatedPhotograph, GradedPhotograph

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sample:
    """A photograph on the model grid: ``image`` uint8 [grid, grid, 3], ``masks`` uint8 [grid, grid, 5], 255 x share."""

    stem: str
    image: UInt8Array
    masks: UInt8Array


@dataclass(frozen=True, slots=True)
class UnlabelledSample:
    """A photograph without masks. ``landmarks``: float [2, 2], x and y of disc and fovea on the model grid."""

    stem: str
    image: UInt8Array
    landmarks: Float64Array


def mask_on_grid(photograph: AnnotatedPhotograph, lesion: str, geometry: Geometry) -> UInt8Array:
    """One structure's annotation on the model grid, uint8 [grid, grid]: 255 x the annotated share of each pixel."""
    mask = photograph.mask(lesion, shape=(geometry.height, geometry.width))
    return photo_to_model(mask.astype(np.uint8) * np.uint8(255), geometry)


def load_samples(photographs: Iterable[AnnotatedPhotograph], settings: PreprocessSettings) -> list[Sample]:
    """Photographs and masks on the model grid, in the order given."""
    samples = []
    for photograph in tqdm(list(photographs), desc="preprocess", unit="photo", disable=None):
        seen = preprocess(photograph.image.read_bytes(), settings)
        masks = [mask_on_grid(photograph, lesion, seen.geometry) for lesion in LESIONS]
        samples.append(Sample(photograph.stem, seen.pixels, np.stack(masks, axis=2)))
    return samples


def load_pseudo_labelled(
    photographs: Iterable[GradedPhotograph], settings: PreprocessSettings, masks: Path
) -> list[Sample]:
    """Graded photographs with the masks that ``pseudo-label`` drew on the model grid, in the order given."""
    samples = []
    for photograph in tqdm(list(photographs), desc="preprocess pseudo-labelled", unit="photo", disable=None):
        seen = preprocess(photograph.image.read_bytes(), settings)
        drawn = [read_pseudo_label(masks, lesion, photograph.stem, grid=settings.grid) for lesion in LESIONS]
        samples.append(Sample(photograph.stem, seen.pixels, np.stack(drawn, axis=2)))
    return samples


def pseudo_label_path(masks: Path, lesion: str, stem: str) -> Path:
    """Where the mask of one structure lies: grey PNG of the model grid, 255 x probability."""
    return masks / lesion / f"{stem}.png"


def read_pseudo_label(masks: Path, lesion: str, stem: str, *, grid: int) -> UInt8Array:
    """One mask, uint8 [grid, grid]. Raises DataError where it is missing or of another grid."""
    path = pseudo_label_path(masks, lesion, stem)
    values = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.exists() else None
    if values is None:
        raise DataError(f"{path} is no mask: draw them with python -m training pseudo-label")
    if values.shape != (grid, grid):
        raise DataError(f"{path} has {values.shape[1]} x {values.shape[0]} pixels, the model grid {grid} x {grid}")
    return values.astype(np.uint8, copy=False)


def load_unlabelled(photographs: Iterable[GradedPhotograph], settings: PreprocessSettings) -> list[UnlabelledSample]:
    """Graded photographs and their landmarks on the model grid, in the order given."""
    samples = []
    for photograph in tqdm(list(photographs), desc="preprocess unlabelled", unit="photo", disable=None):
        seen = preprocess(photograph.image.read_bytes(), settings)
        points = np.array([(*photograph.disc, 1.0), (*photograph.fovea, 1.0)])
        samples.append(UnlabelledSample(photograph.stem, seen.pixels, points @ seen.geometry.photo_to_grid.T))
    return samples
