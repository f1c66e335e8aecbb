"""What can be written for a result, and the writing."""

import argparse
import json
from enum import Enum
from pathlib import Path

from segserve._result import SegmentationResult
from segserve.errors import InvalidInputError


class Format(Enum):
    """Kinds of output."""

    OVERLAY = "overlay"
    MASK = "mask"
    JSON = "json"


def parse_formats(text: str) -> tuple[Format, ...]:
    """``overlay,mask`` as a tuple of formats; for argparse."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    known = {each.value: each for each in Format}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"unknown format {', '.join(unknown) or '(none)'}; known: {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names))


class FormatWriter:
    """Writes results below a folder; formats over all images are finished by ``close``."""

    def __init__(self, folder: Path, formats: tuple[Format, ...]) -> None:
        self._folder = folder
        self._formats = formats
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInputError(f"cannot make the folder {folder}: {error.strerror}") from error

    def write(self, result: SegmentationResult, target: Path) -> list[Path]:
        """Write one result; ``target`` is relative to the folder and has no suffix. Returns what was written."""
        base = self._folder / target
        files: list[Path] = []
        try:
            base.parent.mkdir(parents=True, exist_ok=True)
            for each in self._formats:
                files += self._write_one(each, result, base)
        except OSError as error:
            raise InvalidInputError(f"cannot write {error.filename or base}: {error.strerror}") from error
        return files

    def close(self) -> None:
        """Finish files that hold several results."""

    def _write_one(self, kind: Format, result: SegmentationResult, base: Path) -> list[Path]:
        if kind is Format.JSON:
            path = _beside(base, "report.json")
            path.write_text(json.dumps(result.report.to_dict(), indent=2) + "\n", "utf-8")
            return [path]
        if kind is Format.OVERLAY:
            path = _beside(base, "overlay.png")
            result.overlay().save(path, compress_level=1)
            return [path]
        paths = [_beside(base, f"{name}.png") for name in result.masks]
        for path, name in zip(paths, result.masks, strict=True):
            path.write_bytes(result.masks.png(name))
        return paths


def _beside(base: Path, suffix: str) -> Path:
    return base.with_name(f"{base.name}.{suffix}")
