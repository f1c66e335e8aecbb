"""COCO's object detection format, with run-length encoded masks.

Source: cocodataset.org, "Data format"; the run-length string is that of ``rleToString`` in cocoapi's maskApi.c.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from segserve._findings import Finding, each_finding
from segserve._regions import Region
from segserve._result import SegmentationResult
from segserve.errors import InvalidInputError


class CocoBuilder:
    """Collects images and annotations; ids count from 1. All results must be of one model."""

    def __init__(self) -> None:
        self.images: list[dict[str, Any]] = []
        self.categories: list[dict[str, Any]] = []
        self._annotations = 0

    def add(self, result: SegmentationResult) -> list[dict[str, Any]]:
        """Add an image; returns its annotations, one per lesion. Raises InvalidInputError for another model's."""
        names = list(result.report.classes)
        if not self.categories:
            self.categories = [{"id": i, "name": name, "supercategory": "lesion"} for i, name in enumerate(names, 1)]
        elif names != [category["name"] for category in self.categories]:
            raise InvalidInputError("results with different classes do not fit into one COCO file")
        image = result.report.image
        image_id = len(self.images) + 1
        self.images.append({"id": image_id, "file_name": result.name, "width": image.width, "height": image.height})
        annotations = []
        for finding in each_finding(result):
            self._annotations += 1
            annotation = _annotation(finding, height=image.height, width=image.width)
            annotation |= {"id": self._annotations, "image_id": image_id}
            annotation["category_id"] = names.index(finding.kind.name) + 1
            annotations.append(annotation)
        return annotations

    def frame(self) -> dict[str, Any]:
        """All but the annotations."""
        return {
            "info": {"description": "written by segserve"},
            "licenses": [],
            "images": self.images,
            "categories": self.categories,
        }


def to_coco(results: Iterable[SegmentationResult]) -> dict[str, Any]:
    """Results of one model as a COCO dictionary, fit for JSON; one annotation per lesion.

    ``bbox`` is x, y, width, height in pixels; ``segmentation`` a compressed run-length code of the photograph's size;
    ``score`` the lesion's mean probability. Raises InvalidInputError when the classes differ.
    """
    builder = CocoBuilder()
    annotations = [annotation for result in results for annotation in builder.add(result)]
    return {**builder.frame(), "annotations": annotations}


def _annotation(finding: Finding, *, height: int, width: int) -> dict[str, Any]:
    annotation: dict[str, Any] = {
        "segmentation": {"size": [height, width], "counts": encode_rle(finding.region, height=height, width=width)},
        "area": finding.lesion.area_px,
        "bbox": list(finding.lesion.bbox),
        "iscrowd": 0,
    }
    if not math.isnan(finding.lesion.mean_probability):
        annotation["score"] = finding.lesion.mean_probability
    return annotation


def encode_rle(region: Region, *, height: int, width: int) -> str:
    """The compressed run-length code of a component in an image, column by column."""
    x, y, _, _ = region.bbox
    columns = np.zeros((region.bbox[2], region.bbox[3] + 2), np.int8)
    columns[:, 1:-1] = region.crop().T
    steps = np.diff(columns, axis=1)
    column, starts = np.nonzero(steps == 1)
    _, stops = np.nonzero(steps == -1)
    first = (column + x) * height + starts + y
    last = (column + x) * height + stops + y
    # Runs that fill one column to its end go on in the next one.
    joined = np.concatenate(([False], first[1:] == last[:-1]))
    borders = np.column_stack((first[~joined], last[np.append(~joined[1:], True)])).ravel()
    counts = np.diff(np.concatenate(([0], borders, [width * height])))
    if counts[-1] == 0:
        counts = counts[:-1]
    return _compress(counts.tolist())


def _compress(counts: list[int]) -> str:
    """Differences to the count before last, in groups of five bits, least significant first, as printable text."""
    text = []
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        while True:
            group = value & 0x1F
            value >>= 5
            more = value != -1 if group & 0x10 else value != 0
            text.append(chr((group | 0x20 if more else group) + 48))
            if not more:
                break
    return "".join(text)
