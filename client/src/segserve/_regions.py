"""8-connected components of a mask, kept as horizontal runs.

Masks are mostly empty and lesions small, so labelling runs instead of pixels needs no image library.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from segserve._masks import BoolArray

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Region:
    """One component: int64 arrays, one entry per run; a run covers columns ``starts`` to ``stops`` - 1 of a row."""

    rows: IntArray
    starts: IntArray
    stops: IntArray

    @property
    def area_px(self) -> int:
        """Pixels."""
        return int((self.stops - self.starts).sum())

    @property
    def bbox(self) -> tuple[int, int, int, int]:
        """x, y, width, height."""
        x, y = int(self.starts.min()), int(self.rows.min())
        return x, y, int(self.stops.max()) - x, int(self.rows.max()) - y + 1

    @property
    def centroid(self) -> tuple[float, float]:
        """x, y of the mean pixel centre; the first pixel's centre is (0, 0)."""
        lengths = self.stops - self.starts
        middle = (self.starts + self.stops - 1) / 2
        return float(np.average(middle, weights=lengths)), float(np.average(self.rows, weights=lengths))

    def crop(self) -> BoolArray:
        """The component alone, bool, in its bounding box."""
        x, y, width, height = self.bbox
        mask = np.zeros((height, width), np.bool_)
        for row, start, stop in zip(self.rows - y, self.starts - x, self.stops - x, strict=True):
            mask[row, start:stop] = True
        return mask


def find_regions(mask: BoolArray) -> tuple[Region, ...]:
    """The components of a mask, bool [h, w], largest first; equals by their first pixel, row by row."""
    rows, starts, stops = _find_runs(mask)
    labels = _label_runs(rows.tolist(), starts.tolist(), stops.tolist())
    order = np.argsort(labels, kind="stable")
    borders = np.flatnonzero(np.diff(labels[order])) + 1
    parts = np.split(order, borders) if order.size else []
    regions = [Region(rows[part], starts[part], stops[part]) for part in parts]
    return tuple(sorted(regions, key=lambda r: (-r.area_px, int(r.rows[0]), int(r.starts[0]))))


def _find_runs(mask: BoolArray) -> tuple[IntArray, IntArray, IntArray]:
    filled = np.flatnonzero(mask.any(axis=1))
    lines = np.zeros((filled.size, mask.shape[1] + 2), np.int8)
    lines[:, 1:-1] = mask[filled]
    steps = np.diff(lines, axis=1)
    line, starts = np.nonzero(steps == 1)
    _, stops = np.nonzero(steps == -1)
    return filled[line], starts, stops


def _label_runs(rows: list[int], starts: list[int], stops: list[int]) -> IntArray:
    """Union-find over runs of neighbouring rows that touch, corners included."""
    parent = list(range(len(rows)))

    def root(run: int) -> int:
        while parent[run] != run:
            parent[run] = parent[parent[run]]
            run = parent[run]
        return run

    above = 0
    for run, row in enumerate(rows):
        while above < run and (rows[above] < row - 1 or (rows[above] == row - 1 and stops[above] < starts[run])):
            above += 1
        other = above
        while other < run and rows[other] == row - 1 and starts[other] <= stops[run]:
            parent[max(root(run), root(other))] = min(root(run), root(other))
            other += 1
    return np.array([root(run) for run in range(len(rows))], np.int64)
