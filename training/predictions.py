"""What the served pipeline makes of photographs: the same preprocessing and engine as on the server."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from segserve_server.imaging.decode import UInt8Array
from segserve_server.imaging.geometry import Geometry
from segserve_server.imaging.pipeline import preprocess
from segserve_server.imaging.resample import model_to_photo
from segserve_server.imaging.settings import PreprocessSettings

Float32Array = npt.NDArray[np.float32]


class Engine(Protocol):
    """Runs a served graph; see segserve_server.engines."""

    def infer(self, images: UInt8Array) -> UInt8Array:
        """uint8 [N, H, W, 3] to uint8 [N, C, H, W]."""


class Photograph(Protocol):
    """A photograph on disk."""

    @property
    def stem(self) -> str:
        """Its name."""

    @property
    def image(self) -> Path:
        """Its file."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """``image``: uint8 [grid, grid, 3], what the model saw; ``probability``: uint8 [C, grid, grid], what it said."""

    stem: str
    image: UInt8Array
    probability: UInt8Array
    geometry: Geometry

    def probability_in_photo(self) -> UInt8Array:
        """The first class in the photograph's grid, uint8 [height, width], 0 where the model saw nothing."""
        x0, y0, x1, y1 = self.geometry.visible
        whole = np.zeros((self.geometry.height, self.geometry.width), np.uint8)
        whole[y0:y1, x0:x1] = model_to_photo(self.probability[0], self.geometry, self.geometry.visible)
        return whole


def float_in_photo(values: Float32Array, geometry: Geometry) -> Float32Array:
    """Float values on the model grid, scaled as ``probability_in_photo`` scales 8-bit ones; float32 [height, width]."""
    x0, y0, x1, y1 = geometry.visible
    side = geometry.crop_side
    scaled = cv2.resize(values, (side, side), interpolation=cv2.INTER_LINEAR)
    whole = np.zeros((geometry.height, geometry.width), np.float32)
    left, top = geometry.crop_x, geometry.crop_y
    whole[y0:y1, x0:x1] = scaled[y0 - top : y1 - top, x0 - left : x1 - left]
    return whole


def predict(photographs: Iterable[Photograph], engine: Engine, settings: PreprocessSettings) -> Iterator[Prediction]:
    """The prediction of each photograph, in the order given. Raises InvalidImageError for a file that is none."""
    for photograph in tqdm(list(photographs), desc="predict", unit="photo", disable=None):
        seen = preprocess(photograph.image.read_bytes(), settings)
        probability = engine.infer(seen.pixels[np.newaxis])[0].copy()  # the engine's memory, until the next call
        yield Prediction(photograph.stem, seen.pixels, probability, seen.geometry)
