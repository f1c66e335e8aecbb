"""The dark rows above and below a photograph on the model grid, which an engine need not compute."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

UInt8Array = npt.NDArray[np.uint8]

STEP = 32  # pixels: a network of five halvings then sees each row as it would on the whole grid

#: Metadata of an ONNX that works on fewer rows than its grid has, too: "896", or several with commas between.
HEIGHTS_KEY = "heights"

_DARK = 12  # of 255, as for the field of view: above JPEG's noise in black, below the dimmest retina


def read_heights(entry: str, *, grid: int) -> tuple[int, ...]:
    """The heights of a metadata entry. Raises ValueError, with a sentence, but for multiples of STEP below it."""
    heights = [int(one) if one.strip().isdecimal() else 0 for one in entry.split(",")]
    if not all(0 < height < grid and height % STEP == 0 for height in heights):
        raise ValueError(f"its metadata offers the heights {entry!r}: multiples of {STEP} under {grid} are expected")
    return tuple(heights)


def rows_to_compute(image: UInt8Array, heights: Sequence[int]) -> slice:
    """The fewest rows, of those ``heights`` that an engine offers, with all of an image that is brighter than black.

    ``image``: uint8 [H, W, 3]. Most fundus cameras cut the disc off above and below, which leaves a sixth of its
    square black. ``heights``: the largest is H. The first row is a multiple of STEP, where the height allows it.
    """
    lit = np.flatnonzero(image.reshape(len(image), -1).max(axis=1) > _DARK)
    first, last = (int(lit[0]), int(lit[-1])) if lit.size else (0, 0)
    for height in sorted(heights):
        start = min(first // STEP * STEP, len(image) - height)
        if last < start + height:
            return slice(start, start + height)
    raise ValueError(f"an image of {len(image)} rows for an engine of {max(heights)}")


def infer_lit_rows(images: UInt8Array, heights: Sequence[int], infer: Callable[[UInt8Array], UInt8Array]) -> UInt8Array:
    """uint8 [N, H, W, 3] to uint8 [N, C, H, W], 0 in the rows that were left out.

    ``infer`` does the same for one image of any of the ``heights``.
    """
    answers = []
    for image in images:
        rows = rows_to_compute(image, heights)
        inside = infer(image[np.newaxis, rows])[0]
        whole = np.zeros((len(inside), *image.shape[:2]), np.uint8)
        whole[:, rows] = inside
        answers.append(whole)
    return np.stack(answers)
