"""Findings drawn on the photograph."""

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from segserve._masks import BoolArray, Masks
from segserve._photo import decode_photo
from segserve._report import Report
from segserve.errors import InvalidInputError

if TYPE_CHECKING:
    from PIL import Image

_LINE_PER_SIDE = 700  # an outline one pixel wide for every so many pixels of the longer side stays visible on a screen
_FILL_OPACITY = 0.45
_LEGEND_PER_SIDE = 45  # letters this fraction of the longer side


class OverlayStyle(Enum):
    """How a finding is drawn."""

    OUTLINE = "outline"
    FILL = "fill"


def draw_overlay(
    encoded: bytes,
    report: Report,
    masks: Masks,
    *,
    style: OverlayStyle = OverlayStyle.OUTLINE,
    legend: bool = True,
    colors: dict[str, str] | None = None,
) -> "Image.Image":
    """The photograph, RGB as displayed, with every class drawn in its colour. Raises InvalidInputError."""
    from PIL import Image

    photo = decode_photo(encoded)
    size = (report.image.width, report.image.height)
    if photo.size != size:
        raise InvalidInputError(f"the image is {photo.size[0]} x {photo.size[1]}, the masks are {size[0]} x {size[1]}")
    chosen = {name: _rgb((colors or {}).get(name, finding.color)) for name, finding in report.classes.items()}
    pixels = np.array(photo)
    for name, mask in masks.items():
        _draw(pixels, mask, chosen[name], style=style)
    overlay = Image.fromarray(pixels)
    if legend:
        labels = [(f"{name}: {finding.lesion_count}", chosen[name]) for name, finding in report.classes.items()]
        _draw_legend(overlay, labels)
    return overlay


def _draw(pixels: npt.NDArray[np.uint8], mask: BoolArray, rgb: tuple[int, int, int], *, style: OverlayStyle) -> None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return
    width = max(1, round(max(mask.shape) / _LINE_PER_SIDE))
    top, bottom = max(0, int(rows[0]) - width), int(rows[-1]) + width + 1
    left, right = max(0, int(columns[0]) - width), int(columns[-1]) + width + 1
    inside, window = mask[top:bottom, left:right], pixels[top:bottom, left:right]
    if style is OverlayStyle.FILL:
        mixed = window[inside] * (1 - _FILL_OPACITY) + np.array(rgb) * _FILL_OPACITY
        window[inside] = mixed.round().astype(np.uint8)
    else:  # a line around the finding hides none of it
        window[_grow(inside, width) & ~inside] = rgb


def _grow(mask: BoolArray, steps: int) -> BoolArray:
    """Dilate by ``steps`` pixels of city-block distance."""
    grown = mask.copy()
    for _ in range(steps):
        last = grown.copy()
        grown[1:] |= last[:-1]
        grown[:-1] |= last[1:]
        grown[:, 1:] |= last[:, :-1]
        grown[:, :-1] |= last[:, 1:]
    return grown


def _draw_legend(image: "Image.Image", labels: list[tuple[str, tuple[int, int, int]]]) -> None:
    from PIL import ImageDraw, ImageFont

    draw = ImageDraw.Draw(image)
    size = max(10, max(image.size) // _LEGEND_PER_SIDE)
    font = ImageFont.load_default(size)
    for line, (text, rgb) in enumerate(labels):
        y = size // 2 + round(line * size * 1.4)
        draw.rectangle((size // 2, y, size // 2 + size, y + size), fill=rgb)
        draw.text(
            (2 * size, y + size / 2), text, font=font, fill="white", anchor="lm", stroke_width=2, stroke_fill="black"
        )


def _rgb(color: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    try:
        return ImageColor.getrgb(color)[:3]
    except ValueError as error:
        raise InvalidInputError(f"{color!r} is not a colour; write #rrggbb") from error
