"""From what a program has, to the encoded bytes that go over the wire."""

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from segserve.errors import InvalidInputError

if TYPE_CHECKING:
    from PIL import Image

    ImageSource = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | npt.NDArray[Any] | Image.Image

# Lossless and cheap: a higher level costs more time than the bytes it saves cost on a local network.
_PNG_LEVEL = 1

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})
"""Files that a folder is searched for, lower case."""


class Named(NamedTuple):
    """An image with a name, for sources that have none of their own: bytes, arrays, open files."""

    name: str
    image: "ImageSource"


@dataclass(frozen=True)
class EncodedImage:
    """Encoded bytes, ready to be sent, and the name they go by."""

    name: str
    data: bytes = field(repr=False)


def name_of(source: "ImageSource | Named") -> str:
    """The name that messages and files use for a source; empty where it has none."""
    if isinstance(source, Named):
        return source.name
    if isinstance(source, (str, os.PathLike)):
        return str(Path(source))
    name = getattr(source, "name", None) or getattr(source, "filename", None)
    return name if isinstance(name, str) else ""


def load_image(source: "ImageSource | Named") -> EncodedImage:
    """Read or encode a source.

    A path is read, bytes are taken as they are, a file object is read to its end. An array, uint8 [h, w], [h, w, 3]
    RGB or [h, w, 4] RGBA or uint16 [h, w], and a Pillow image are encoded as PNG, without loss.

    Raises InvalidInputError.
    """
    name = name_of(source)
    image = source.image if isinstance(source, Named) else source
    if isinstance(image, (str, os.PathLike)):
        return EncodedImage(name, _read(Path(image)))
    if isinstance(image, (bytes, bytearray, memoryview)):
        return EncodedImage(name, bytes(image))
    if isinstance(image, np.ndarray):
        return EncodedImage(name, _encode_array(image))
    if hasattr(image, "getbands"):  # a Pillow image, told without importing Pillow
        return EncodedImage(name, _encode_png(cast("Image.Image", image)))
    if hasattr(image, "read"):
        data: object = image.read()
        if not isinstance(data, bytes):
            raise InvalidInputError(f"the file {name or 'object'} is open as text; open it with mode 'rb'")
        return EncodedImage(name, data)
    raise InvalidInputError(
        f"cannot take an image from {type(image).__name__}: give a path, bytes, a binary file, an array, a Pillow image"
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInputError(f"cannot read {path}: {error.strerror or error}") from error


def _encode_array(array: npt.NDArray[Any]) -> bytes:
    from PIL import Image

    grey = array.ndim == 2
    colour = array.ndim == 3 and array.shape[2] in (3, 4)
    if array.size == 0 or not ((array.dtype == np.uint8 and (grey or colour)) or (array.dtype == np.uint16 and grey)):
        raise InvalidInputError(
            f"an array must be uint8 [h, w], [h, w, 3] or [h, w, 4], or uint16 [h, w], not {array.dtype} "
            f"{list(array.shape)}; scale other ranges yourself, since only you know what they mean"
        )
    return _encode_png(Image.fromarray(np.ascontiguousarray(array)))


def _encode_png(image: "Image.Image") -> bytes:
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        image = image.convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=_PNG_LEVEL)
    return buffer.getvalue()
