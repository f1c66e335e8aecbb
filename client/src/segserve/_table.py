"""Lesions as rows of a table."""

import csv
from collections.abc import Iterable, Iterator
from typing import TextIO

from segserve._result import SegmentationResult

COLUMNS = (
    "image",
    "image_sha256",
    "model",
    "model_version",
    "class",
    "lesion",
    "area_px",
    "x",
    "y",
    "width",
    "height",
    "centroid_x",
    "centroid_y",
    "mean_probability",
    "max_probability",
)


def lesion_rows(result: SegmentationResult) -> Iterator[tuple[object, ...]]:
    """One row per listed lesion, in the order of ``COLUMNS``; lengths in pixels of the photograph."""
    report = result.report
    for name, kind in report.classes.items():
        for lesion in kind.lesions:
            yield (
                result.name,
                report.image.sha256,
                report.model.name,
                report.model.version,
                name,
                lesion.id,
                lesion.area_px,
                *lesion.bbox,
                *lesion.centroid,
                lesion.mean_probability,
                lesion.max_probability,
            )


def write_csv(results: Iterable[SegmentationResult], file: TextIO) -> int:
    """Write a header and one row per listed lesion (RFC 4180); returns the number of rows.

    Open the file with ``newline=""``, as the standard library's ``csv`` asks.
    """
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    count = 0
    for result in results:
        for row in lesion_rows(result):
            writer.writerow(row)
            count += 1
    return count
