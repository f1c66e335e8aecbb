"""Answers made without a model: one round lesion in the middle of whatever image comes."""

import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from segserve import contract
from segserve._masks import BoolArray
from segserve._photo import decode_photo
from segserve._wire import OutputTensor, join_elements
from segserve.errors import InvalidImageError, InvalidInputError

_COLORS = ("#e6194b", "#3cb44b", "#ffe119", "#4363d8")
_PROBABILITY = 0.8
_RADIUS = 1 / 8  # of the shorter side


@dataclass(frozen=True)
class FakeModel:
    """A model that a fake server has.

    Parameters
    ----------
    name
        Of the ensemble; its probability ensemble has the usual suffix.
    classes
        Each gets one lesion: the first in the middle, the others beside it.
    grid
        Side of the square model grid, in pixels.
    contract_version
        What the model says it keeps.
    """

    name: str = "fundus_hemorrhage"
    classes: tuple[str, ...] = ("hemorrhage",)
    grid: int = 64
    contract_version: str = contract.CONTRACT_VERSION

    @property
    def colors(self) -> tuple[str, ...]:
        """One for each class."""
        return tuple(_COLORS[i % len(_COLORS)] for i in range(len(self.classes)))

    def config(self, *, probability: bool) -> dict[str, Any]:
        """The model configuration as a server reports it."""
        parameters = {
            contract.PARAMETER_CONTRACT_VERSION: self.contract_version,
            contract.PARAMETER_CLASSES: ",".join(self.classes),
            contract.PARAMETER_COLORS: ",".join(self.colors),
            contract.PARAMETER_GRID: f"{self.grid}x{self.grid}",
        }
        outputs = (contract.PROBABILITY, contract.GEOMETRY) if probability else (contract.REPORT, contract.MASK)
        return {
            "name": self.name + (contract.PROBABILITY_SUFFIX if probability else ""),
            "platform": "ensemble",
            "parameters": {key: {"string_value": value} for key, value in parameters.items()},
            "output": [{"name": name} for name in outputs],
        }

    def answer(self, encoded: bytes, outputs: tuple[str, ...]) -> dict[str, OutputTensor]:
        """The outputs for an image. Raises InvalidImageError for bytes that are none."""
        width, height = read_size(encoded)
        image = _image(encoded, width=width, height=height)
        masks = [_disc(width, height, shift=index) for index in range(len(self.classes))]
        made = {
            contract.REPORT: lambda: _json(self._report(image, masks)),
            contract.MASK: lambda: _bytes_tensor([encode_mask(mask) for mask in masks]),
            contract.GEOMETRY: lambda: _json(self._geometry(image)),
            contract.PROBABILITY: self._probability,
        }
        return {name: made[name]() for name in outputs}

    def _report(self, image: dict[str, Any], masks: list[BoolArray]) -> dict[str, Any]:
        area = image["width"] * image["height"]
        return {
            "schema_version": self.contract_version,
            "model": {"name": self.name, "version": "1", "weights_sha256": "0" * 64, "settings_sha256": "0" * 64},
            "image": image,
            "field_of_view": _field_of_view(image),
            "geometry": self._affine(image),
            "classes": [
                {
                    "name": name,
                    "color": color,
                    "threshold": 0.5,
                    "area_px": int(mask.sum()),
                    "area_fraction": int(mask.sum()) / area,
                    "lesion_count": 1,
                    "lesions_truncated": False,
                    "lesions": [_lesion(mask)],
                }
                for name, color, mask in zip(self.classes, self.colors, masks, strict=True)
            ],
            "warnings": [],
        }

    def _geometry(self, image: dict[str, Any]) -> dict[str, Any]:
        return {
            "schema_version": self.contract_version,
            "grid": {"width": self.grid, "height": self.grid},
            "affine": self._affine(image),
            "crop": {"x": 0, "y": 0, "side": max(image["width"], image["height"])},
            "image": image,
            "field_of_view": _field_of_view(image),
            "warnings": [],
        }

    def _affine(self, image: dict[str, Any]) -> list[list[float]]:
        scale = max(image["width"], image["height"]) / self.grid
        return [[scale, 0.0, 0.5 * scale - 0.5], [0.0, scale, 0.5 * scale - 0.5]]

    def _probability(self) -> OutputTensor:
        levels = np.zeros((len(self.classes), self.grid, self.grid), np.uint8)
        for index in range(len(self.classes)):
            levels[index][_disc(self.grid, self.grid, shift=index)] = round(255 * _PROBABILITY)
        return OutputTensor("UINT8", (1, *levels.shape), levels.tobytes())


def read_size(encoded: bytes) -> tuple[int, int]:
    """Width and height as displayed. Raises InvalidImageError, worded as the server does."""
    if not encoded:
        raise InvalidImageError("the image is empty (0 bytes)")
    try:
        return decode_photo(encoded).size
    except InvalidInputError as error:
        raise InvalidImageError("the bytes are not a readable image") from error


def encode_mask(mask: BoolArray) -> bytes:
    """A bool mask [h, w] as a 1-bit PNG, which is how it goes over the wire."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, format="PNG")
    return buffer.getvalue()


def _image(encoded: bytes, *, width: int, height: int) -> dict[str, Any]:
    return {
        "width": width,
        "height": height,
        "stored_width": width,
        "stored_height": height,
        "orientation": 1,
        "bit_depth": 8,
        "sha256": hashlib.sha256(encoded).hexdigest(),
    }


def _field_of_view(image: dict[str, Any]) -> dict[str, Any]:
    width, height = image["width"], image["height"]
    return {"x": 0, "y": 0, "width": width, "height": height, "area_px": width * height, "found": True}


def _disc(width: int, height: int, *, shift: int) -> BoolArray:
    """A disc in the middle, ``shift`` diameters to its right (around the edge where it must); never empty."""
    radius = max(0.5, _RADIUS * min(width, height))
    rows, columns = np.ogrid[:height, :width]
    centre_x = ((width - 1) / 2 + 2 * radius * shift) % width
    disc: BoolArray = np.hypot(rows - (height - 1) / 2, columns - centre_x) <= radius
    disc[(height - 1) // 2, min(width - 1, int(centre_x))] = True
    return disc


def _lesion(mask: BoolArray) -> dict[str, Any]:
    rows, columns = np.nonzero(mask)
    x, y = int(columns.min()), int(rows.min())
    return {
        "id": 1,
        "area_px": int(mask.sum()),
        "bbox": [x, y, int(columns.max()) - x + 1, int(rows.max()) - y + 1],
        "centroid": [float(columns.mean()), float(rows.mean())],
        "mean_probability": _PROBABILITY,
        "max_probability": _PROBABILITY,
    }


def _json(value: dict[str, Any]) -> OutputTensor:
    return _bytes_tensor([json.dumps(value).encode()])


def _bytes_tensor(elements: list[bytes]) -> OutputTensor:
    return OutputTensor("BYTES", (1, len(elements)), join_elements(elements))
