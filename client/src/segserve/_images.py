"""The images of a run: any iterable, one path, or all of a folder."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from segserve._source import IMAGE_SUFFIXES, Named
from segserve.errors import InvalidInputError

if TYPE_CHECKING:
    from segserve._source import ImageSource


def find_images(folder: Path | str) -> Iterator[Path]:
    """Image files of a folder and its subfolders by suffix (``IMAGE_SUFFIXES``), sorted within each folder.

    Hidden files and folders are left out, and links to folders are not followed.
    Raises InvalidInputError for a folder that cannot be read.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InvalidInputError(f"cannot read the folder {folder}: {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from find_images(entry.path)
        elif Path(entry.name).suffix.lower() in IMAGE_SUFFIXES:
            yield Path(entry.path)


def iterate(images: "Iterable[ImageSource | Named] | str | os.PathLike[str]") -> "Iterable[ImageSource | Named]":
    """A folder's images, a single path, or the iterable itself. Raises InvalidInputError."""
    if isinstance(images, (str, os.PathLike)):
        path = Path(images)
        if not path.exists():
            raise InvalidInputError(f"there is no file or folder {path}")
        return find_images(path) if path.is_dir() else [path]
    if isinstance(images, (bytes, bytearray)) or not hasattr(images, "__iter__"):
        raise InvalidInputError("segment_many takes many images: an iterable or a folder; segment takes one")
    return images
