"""Two results side by side: two models, or two visits on the same grid."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from segserve._findings import Finding, find_lesions
from segserve._report import Lesion
from segserve._result import SegmentationResult
from segserve.errors import InvalidInputError


@dataclass(frozen=True)
class LesionMatch:
    """The same lesion in both results. ``iou``: pixels in common over pixels in either, 0 to 1."""

    before: Lesion
    after: Lesion
    iou: float


@dataclass(frozen=True)
class ClassComparison:
    """What became of one class.

    Parameters
    ----------
    dice
        2 |A and B| / (|A| + |B|), 1 when both masks are empty.
    iou
        |A and B| / |A or B|, 1 when both masks are empty.
    matched, gained, lost
        Lesions of both results, of the second only and of the first only. A lesion is matched with the one it shares
        most with; where one has split, a part is matched and the others count as gained.
    """

    name: str
    area_before_px: int
    area_after_px: int
    dice: float
    iou: float
    matched: tuple[LesionMatch, ...]
    gained: tuple[Lesion, ...]
    lost: tuple[Lesion, ...]


@dataclass(frozen=True)
class Comparison:
    """Class by class, for the classes that both results have; those that only one has are named."""

    classes: Mapping[str, ClassComparison]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]


def compare(before: SegmentationResult, after: SegmentationResult, *, min_iou: float = 0.0) -> Comparison:
    """Compare two results on the same grid.

    ``min_iou``: lesions that share less than this are not the same; at 0 a common pixel is enough.
    Raises InvalidInputError for images of different sizes, or when no class is in both.
    """
    sizes = [(each.report.image.width, each.report.image.height) for each in (before, after)]
    if sizes[0] != sizes[1]:
        raise InvalidInputError(
            f"results on different grids cannot be compared: {sizes[0][0]} x {sizes[0][1]} and "
            f"{sizes[1][0]} x {sizes[1][1]} pixels; register the photographs first"
        )
    common = [name for name in before.report.classes if name in after.report.classes]
    if not common:
        raise InvalidInputError("the two results have no class in common")
    return Comparison(
        classes={name: _compare_class(before, after, name, min_iou=min_iou) for name in common},
        only_before=tuple(name for name in before.report.classes if name not in common),
        only_after=tuple(name for name in after.report.classes if name not in common),
    )


def _compare_class(
    before: SegmentationResult, after: SegmentationResult, name: str, *, min_iou: float
) -> ClassComparison:
    masks = before.masks[name], after.masks[name]
    areas = [int(np.count_nonzero(mask)) for mask in masks]
    common = int(np.count_nonzero(masks[0] & masks[1]))
    union = sum(areas) - common
    old, new = find_lesions(before, name), find_lesions(after, name)
    pairs = _match(old, new, masks[0].shape, min_iou=min_iou)
    matched_old, matched_new = {i for i, _, _ in pairs}, {j for _, j, _ in pairs}
    return ClassComparison(
        name=name,
        area_before_px=areas[0],
        area_after_px=areas[1],
        dice=2 * common / sum(areas) if union else 1.0,
        iou=common / union if union else 1.0,
        matched=tuple(LesionMatch(old[i].lesion, new[j].lesion, iou) for i, j, iou in sorted(pairs)),
        gained=tuple(finding.lesion for j, finding in enumerate(new) if j not in matched_new),
        lost=tuple(finding.lesion for i, finding in enumerate(old) if i not in matched_old),
    )


def _match(
    old: tuple[Finding, ...], new: tuple[Finding, ...], shape: tuple[int, ...], *, min_iou: float
) -> list[tuple[int, int, float]]:
    """One-to-one pairs of lesions with a common pixel, best intersection over union first."""
    labels = np.zeros(shape, np.int32)
    for j, finding in enumerate(new, start=1):
        for row, start, stop in zip(finding.region.rows, finding.region.starts, finding.region.stops, strict=True):
            labels[row, start:stop] = j
    candidates = []
    for i, finding in enumerate(old):
        x, y, width, height = finding.region.bbox
        met, counts = np.unique(labels[y : y + height, x : x + width][finding.region.crop()], return_counts=True)
        for label, common in zip(met.tolist(), counts.tolist(), strict=True):
            if label:
                union = finding.lesion.area_px + new[label - 1].lesion.area_px - common
                candidates.append((common / union, i, label - 1))
    taken_old: set[int] = set()
    taken_new: set[int] = set()
    pairs = []
    for iou, i, j in sorted(candidates, key=lambda each: (-each[0], each[1], each[2])):
        if iou >= min_iou and i not in taken_old and j not in taken_new:
            taken_old.add(i)
            taken_new.add(j)
            pairs.append((i, j, iou))
    return pairs
