"""Lesions together with their shapes."""

from collections.abc import Iterator
from dataclasses import dataclass

from segserve._regions import Region, find_regions
from segserve._report import ClassReport, Lesion
from segserve._result import SegmentationResult

_UNKNOWN = float("nan")


@dataclass(frozen=True, eq=False)
class Finding:
    """A lesion of a class and the pixels it has."""

    kind: ClassReport
    lesion: Lesion
    region: Region


def find_lesions(result: SegmentationResult, name: str) -> tuple[Finding, ...]:
    """All lesions of a class, largest first, from its mask; what the report says of them is looked up.

    Lesions that a truncated report leaves out have probabilities that are not a number.
    """
    kind = result.report.classes[name]
    listed = {(lesion.bbox, lesion.area_px): lesion for lesion in kind.lesions}
    findings = []
    for rank, region in enumerate(find_regions(result.masks[name]), start=1):
        lesion = listed.get((region.bbox, region.area_px))
        if lesion is None:
            lesion = Lesion(rank, region.area_px, region.bbox, region.centroid, _UNKNOWN, _UNKNOWN)
        findings.append(Finding(kind, lesion, region))
    return tuple(findings)


def each_finding(result: SegmentationResult) -> Iterator[Finding]:
    """All lesions of all classes."""
    for name in result.report.classes:
        yield from find_lesions(result, name)
