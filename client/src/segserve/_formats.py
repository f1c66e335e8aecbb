"""What the command line can write for results, and the writing."""

import argparse
import csv
import json
from enum import Enum
from pathlib import Path
from typing import Any, TextIO

from segserve._coco import CocoBuilder
from segserve._geojson import to_geojson
from segserve._result import SegmentationResult
from segserve._table import COLUMNS, lesion_rows
from segserve.errors import OutputError


class Format(Enum):
    """Kinds of output; the last two hold all images of a run in one file."""

    OVERLAY = "overlay"
    MASK = "mask"
    JSON = "json"
    GEOJSON = "geojson"
    COCO = "coco"
    CSV = "csv"


def parse_formats(text: str) -> tuple[Format, ...]:
    """``overlay,mask`` as a tuple of formats; for argparse."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    known = {each.value: each for each in Format}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"unknown format {', '.join(unknown) or '(none)'}; known: {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names))


class FormatWriter:
    """Writes results below a folder; ``close`` finishes ``coco.json`` and ``lesions.csv``."""

    def __init__(self, folder: Path, formats: tuple[Format, ...]) -> None:
        self._folder = folder
        self._formats = formats
        self._collectors: dict[Format, _CocoFile | _CsvFile] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if Format.COCO in formats:
                self._collectors[Format.COCO] = _CocoFile(folder / "coco.json")
            if Format.CSV in formats:
                self._collectors[Format.CSV] = _CsvFile(folder / "lesions.csv")
        except OSError as error:
            raise OutputError(f"cannot write to {folder}: {error.strerror}") from error

    def write(self, result: SegmentationResult, target: Path) -> list[Path]:
        """Write one result; ``target`` is relative to the folder and has no suffix. Returns what was written.

        Raises OutputError, and InvalidInputError where the photograph cannot be drawn on.
        """
        base = self._folder / target
        files: list[Path] = []
        try:
            base.parent.mkdir(parents=True, exist_ok=True)
            for each in self._formats:
                collector = self._collectors.get(each)
                if collector is not None:
                    collector.add(result)
                    files.append(collector.path)
                else:
                    files += _write_one(each, result, base)
        except OSError as error:
            raise OutputError(f"cannot write {error.filename or base}: {error.strerror}") from error
        return files

    def close(self) -> None:
        """Finish files that hold several results."""
        for collector in self._collectors.values():
            collector.close()


class _CocoFile:
    """A COCO file, its annotations written as they come, so that a long run needs little memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._builder = CocoBuilder()
        self._file: TextIO = path.open("w", encoding="utf-8")
        self._file.write('{"annotations": [')
        self._separator = "\n"

    def add(self, result: SegmentationResult) -> None:
        """Write an image's annotations."""
        for annotation in self._builder.add(result):
            self._file.write(self._separator + json.dumps(annotation))
            self._separator = ",\n"

    def close(self) -> None:
        """Write what goes around the annotations."""
        frame = json.dumps(self._builder.frame())
        self._file.write("\n], " + frame[1:] + "\n")
        self._file.close()


class _CsvFile:
    """One row per lesion."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(COLUMNS)

    def add(self, result: SegmentationResult) -> None:
        """Write an image's rows."""
        self._writer.writerows(lesion_rows(result))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _write_one(kind: Format, result: SegmentationResult, base: Path) -> list[Path]:
    if kind is Format.JSON:
        return [_write_json(_beside(base, "report.json"), result.report.to_dict())]
    if kind is Format.GEOJSON:
        return [_write_json(_beside(base, "geojson"), to_geojson(result))]
    if kind is Format.OVERLAY:
        path = _beside(base, "overlay.png")
        result.overlay().save(path, compress_level=1)
        return [path]
    paths = [_beside(base, f"{name}.png") for name in result.masks]
    for path, name in zip(paths, result.masks, strict=True):
        path.write_bytes(result.masks.png(name))
    return paths


def _write_json(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    return path


def _beside(base: Path, suffix: str) -> Path:
    return base.with_name(f"{base.name}.{suffix}")
