"""Views of an image for test-time augmentation: flips and quarter turns, and the way back, as ONNX nodes."""

import enum
from collections.abc import Callable

from build_engines.nodes import GraphWriter

_ROWS, _COLUMNS = 2, 3  # axes of [N, C, H, W]


class View(enum.Enum):
    """``TURN_90`` turns counter-clockwise, as ``numpy.rot90``."""

    IDENTITY = "identity"
    FLIP_HORIZONTAL = "hflip"
    FLIP_VERTICAL = "vflip"
    TURN_90 = "rot90"
    TURN_180 = "rot180"
    TURN_270 = "rot270"

    @property
    def inverse(self) -> "View":
        """The view that undoes this one."""
        return {View.TURN_90: View.TURN_270, View.TURN_270: View.TURN_90}.get(self, self)


_Step = Callable[[GraphWriter, str, int], str]


def _flip(axis: int) -> _Step:
    def step(writer: GraphWriter, source: str, grid: int) -> str:
        # An end one before the first element: a negative step runs through it, whatever the runtime's integers.
        bounds = [writer.integers([value]) for value in (-1, -grid - 1, axis, -1)]
        return writer.add("Slice", [source, *bounds])

    return step


def _swap(writer: GraphWriter, source: str, _grid: int) -> str:
    return writer.add("Transpose", [source], perm=[0, 1, _COLUMNS, _ROWS])


_STEPS: dict[View, tuple[_Step, ...]] = {
    View.IDENTITY: (),
    View.FLIP_HORIZONTAL: (_flip(_COLUMNS),),
    View.FLIP_VERTICAL: (_flip(_ROWS),),
    View.TURN_90: (_flip(_COLUMNS), _swap),
    View.TURN_180: (_flip(_ROWS), _flip(_COLUMNS)),
    View.TURN_270: (_swap, _flip(_COLUMNS)),
}


def add_view(writer: GraphWriter, source: str, view: View, grid: int) -> str:
    """Nodes that give the view of ``source`` [N, C, grid, grid]; the name of the result."""
    for step in _STEPS[view]:
        source = step(writer, source, grid)
    return source
