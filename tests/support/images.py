"""Synthetic photographs for tests."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

UInt8Array = npt.NDArray[np.uint8]


def fundus(width: int, height: int, *, radius: float | None = None) -> UInt8Array:
    """A lit disc in a dark frame with some texture, uint8 [height, width, 3]."""
    y, x = np.mgrid[:height, :width]
    radius = radius if radius is not None else 0.45 * min(width, height)
    inside = (x - (width - 1) / 2) ** 2 + (y - (height - 1) / 2) ** 2 <= radius**2
    image = np.zeros((height, width, 3), np.uint8)
    image[inside] = (170, 90, 40)
    image[..., 1][inside] += (20 + 20 * np.sin((x + y)[inside] / 15)).astype(np.uint8)
    return image


def encode(pixels: npt.NDArray[Any], kind: str, **options: Any) -> bytes:
    """Pixels, or anything Pillow makes an image of, as a file's bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def with_orientation(pixels: UInt8Array, orientation: int, *, kind: str = "JPEG") -> bytes:
    """An image file that states an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"quality": 95} if kind == "JPEG" else {}
    return encode(pixels, kind, exif=exif, **options)
