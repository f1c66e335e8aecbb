"""What the served pipeline makes of photographs: the same preprocessing and engine as on the server."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from segserve_server.imaging.decode import UInt8Array
from segserve_server.imaging.geometry import Geometry
from segserve_server.imaging.lesions import BoolArray
from segserve_server.imaging.pipeline import preprocess
from segserve_server.imaging.resample import model_to_photo
from segserve_server.imaging.settings import PreprocessSettings
from training.idrid import LESIONS, AnnotatedPhotograph
from training.served_graph import ReferenceEngine, sigmoid

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


@dataclass(frozen=True, slots=True)
class Examined:
    """An annotated photograph and what a network that was not trained on it says of it.

    ``logits``: float32 [grid, grid] of the served class before division by ``temperature``, from the float32 graph.
    """

    photograph: AnnotatedPhotograph
    prediction: Prediction
    logits: Float32Array
    temperature: float

    def truth(self) -> BoolArray:
        """The served class's annotation, bool [height, width]."""
        shape = (self.prediction.geometry.height, self.prediction.geometry.width)
        return self.photograph.mask(LESIONS[0], shape=shape)

    def float_probability_in_photo(self) -> Float32Array:
        """The float32 graph's calibrated probability in the photograph's grid, [height, width], not rounded."""
        probability = sigmoid(self.logits / np.float32(self.temperature))
        return float_in_photo(probability, self.prediction.geometry)


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


def examine(
    photographs: Sequence[AnnotatedPhotograph], engine: Engine, reference: ReferenceEngine, settings: PreprocessSettings
) -> list[Examined]:
    """Prediction and logits of each photograph, in the order given."""
    return [
        Examined(photograph, prediction, reference.logits(prediction.image)[0], reference.facts.temperature)
        for photograph, prediction in zip(photographs, predict(photographs, engine, settings), strict=True)
    ]
