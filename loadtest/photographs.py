"""The photographs that the load is made of: the examples of this repository, in three sizes, encoded once."""

import enum
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from loadtest.errors import LoadTestError

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
_QUALITY = 92  # JPEG quality of the sizes that are made here; the full-size files are sent as they are


class SizeClass(enum.Enum):
    """Pixels of a photograph, width x height."""

    FULL = "4288x2848"
    MEDIUM = "2048x2048"
    SMALL = "1024x1024"

    @property
    def width(self) -> int:
        """Pixels from left to right."""
        return int(self.value.split("x")[0])

    @property
    def height(self) -> int:
        """Pixels from top to bottom."""
        return int(self.value.split("x")[1])


def load_photographs(size: SizeClass, folder: Path = EXAMPLES) -> list[bytes]:
    """Encoded JPEGs of one size, sorted by file name.

    Full size are the files of that size as they are. The square sizes are made of these: padded with black to a
    square, as square fundus cameras do, scaled by pixel area and encoded anew. Raises LoadTestError when the folder
    has no full-size photograph.
    """
    photographs = []
    for path in sorted(folder.glob("*.jpg")):
        encoded = path.read_bytes()
        pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None or pixels.shape[:2] != (SizeClass.FULL.height, SizeClass.FULL.width):
            continue
        photographs.append(encoded if size is SizeClass.FULL else _make_square(pixels, size.width))
    if not photographs:
        raise LoadTestError(f"{folder} holds no {SizeClass.FULL.value} photograph: restore examples/ from git")
    return photographs


def load_mixture(folder: Path = EXAMPLES) -> list[bytes]:
    """Every photograph in every size, sizes taking turns, so that any few of them in a row are mixed."""
    by_size = [load_photographs(size, folder) for size in SizeClass]
    return [photograph for turn in zip(*by_size, strict=True) for photograph in turn]


def endless(photographs: Sequence[bytes]) -> Iterator[bytes]:
    """The photographs in turn, for ever."""
    return itertools.cycle(photographs)


def _make_square(pixels: cv2.typing.MatLike, side: int) -> bytes:
    rows, columns = pixels.shape[:2]
    margin = (columns - rows) // 2
    square = cv2.copyMakeBorder(pixels, margin, columns - rows - margin, 0, 0, cv2.BORDER_CONSTANT, value=[0, 0, 0])
    small = cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)
    done, encoded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise LoadTestError("OpenCV could not encode a JPEG: reinstall opencv-python-headless")
    return encoded.tobytes()
