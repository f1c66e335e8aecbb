"""Photographs to calibrate on and to compare engines with, seen as the server sees them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from build_engines.errors import PhotographError
from segserve_server.imaging.errors import InvalidImageError
from segserve_server.imaging.pipeline import Preprocessed, preprocess
from segserve_server.imaging.settings import PreprocessSettings

UInt8Array = npt.NDArray[np.uint8]

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp"})


def find_photographs(folder: Path, limit: int) -> tuple[Path, ...]:
    """At most ``limit`` photographs of a folder, evenly spread over its sorted names. Raises PhotographError."""
    if not folder.is_dir():
        raise PhotographError(f"there is no folder of photographs at {folder}: give one with --photos")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)
    if not found:
        raise PhotographError(f"{folder} holds no photograph ({', '.join(sorted(_SUFFIXES))})")
    if len(found) <= limit:
        return tuple(found)
    return tuple(found[i * len(found) // limit] for i in range(limit))


def read_photograph(path: Path, settings: PreprocessSettings) -> Preprocessed:
    """A photograph through the served preprocessing. Raises PhotographError."""
    try:
        return preprocess(path.read_bytes(), settings)
    except OSError as error:
        raise PhotographError(f"{path.name} cannot be read: {error.strerror}") from error
    except InvalidImageError as error:
        raise PhotographError(f"{path.name} is not a photograph the server takes: {error}") from error


def model_inputs(paths: Sequence[Path], settings: PreprocessSettings) -> list[UInt8Array]:
    """Each photograph as the network's input, uint8 [1, grid, grid, 3]."""
    return [read_photograph(path, settings).pixels[np.newaxis] for path in paths]


def digest(paths: Sequence[Path]) -> str:
    """One hash for a list of files' contents."""
    total = hashlib.sha256()
    for path in paths:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
