"""Polygons along the pixel borders of a component: their area is its number of pixels, exactly."""

from collections import defaultdict
from itertools import pairwise

import numpy as np

from segserve._masks import BoolArray

Point = tuple[int, int]
Ring = list[Point]
Polygon = list[Ring]

_RIGHT, _DOWN, _LEFT, _UP = (1, 0), (0, 1), (-1, 0), (0, -1)


def trace_polygons(mask: BoolArray, *, x: int = 0, y: int = 0) -> list[Polygon]:
    """The outlines of a mask, bool [h, w], whose first pixel has its corner at ``x``, ``y``.

    Each polygon is its exterior ring followed by its holes; rings are closed and run through pixel corners, x to the
    right and y down. Parts that touch at a corner only are polygons of their own, and no ring touches itself, as the
    OGC's simple features demand.
    """
    rings = [ring for loop in _trace_loops(mask) for ring in _split_at_repeats(loop)]
    exteriors = sorted((ring for ring in rings if _area(ring) > 0), key=_area)
    polygons = {id(ring): [ring] for ring in exteriors}
    for hole in (ring for ring in rings if _area(ring) < 0):
        inside = _pixel_beside(hole)
        owner = next(ring for ring in exteriors if _contains(ring, inside))  # the smallest one is its own part's
        polygons[id(owner)].append(hole)
    return [[[(px + x, py + y) for px, py in _merge(ring)] for ring in polygon] for polygon in polygons.values()]


def _trace_loops(mask: BoolArray) -> list[Ring]:
    """Closed loops along the borders, the mask always on the right hand (y points down)."""
    padded = np.pad(mask, 1).astype(np.int8)
    down, across = np.diff(padded, axis=0), np.diff(padded, axis=1)
    following: dict[Point, list[Point]] = defaultdict(list)
    for edges, step, offset in (
        (down[:, 1:-1] == 1, _RIGHT, (0, 0)),  # the mask begins below this border
        (down[:, 1:-1] == -1, _LEFT, (1, 0)),
        (across[1:-1] == 1, _UP, (0, 1)),
        (across[1:-1] == -1, _DOWN, (0, 0)),
    ):
        for row, column in zip(*(axis.tolist() for axis in np.nonzero(edges)), strict=True):
            following[(column + offset[0], row + offset[1])].append(step)
    loops = []
    while following:
        start = point = next(iter(following))
        step = following[point][0]
        loop = [start]
        while True:
            steps = following[point]
            steps.remove(step)
            if not steps:
                del following[point]
            point = (point[0] + step[0], point[1] + step[1])
            if point == start and not (point in following and _turn_right(step) in following[point]):
                break
            loop.append(point)
            # Where two pixels meet at a corner, turning right stays with the own one.
            options = following[point]
            step = _turn_right(step) if _turn_right(step) in options else options[0]
        loops.append(loop)
    return loops


def _turn_right(step: Point) -> Point:
    return -step[1], step[0]


def _split_at_repeats(loop: Ring) -> list[Ring]:
    """Cut a loop into rings that visit no point twice."""
    rings: list[Ring] = []
    path: Ring = []
    seen: dict[Point, int] = {}
    for point in loop:
        if point in seen:
            first = seen[point]
            ring = path[first:]
            rings.append(ring)
            for passed in ring:
                del seen[passed]
            del path[first:]
        seen[point] = len(path)
        path.append(point)
    return [[*ring, ring[0]] for ring in [*rings, path]]


def _area(ring: Ring) -> float:
    """Shoelace formula; positive where the mask lies inside."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring)) / 2


def _pixel_beside(ring: Ring) -> tuple[float, float]:
    """The centre of the mask's pixel on the right of the ring's first edge."""
    (x0, y0), (x1, y1) = ring[:2]
    right = _turn_right((x1 - x0, y1 - y0))
    return (x0 + x1 + right[0]) / 2, (y0 + y1 + right[1]) / 2


def _contains(ring: Ring, point: tuple[float, float]) -> bool:
    """Ray casting to the right; the point lies on no border."""
    px, py = point
    crossings = sum(1 for (x0, y0), (x1, y1) in pairwise(ring) if x0 == x1 > px and min(y0, y1) < py < max(y0, y1))
    return crossings % 2 == 1


def _merge(ring: Ring) -> Ring:
    """Leave out points between edges of one direction."""
    points = ring[:-1]
    kept = [
        point
        for before, point, after in zip([points[-1], *points[:-1]], points, [*points[1:], points[0]], strict=True)
        if not (before[0] == point[0] == after[0] or before[1] == point[1] == after[1])
    ]
    return [*kept, kept[0]]
