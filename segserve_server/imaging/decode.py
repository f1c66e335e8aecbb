"""Encoded bytes to 8-bit RGB, as displayed, at a reduced scale where that loses nothing."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from segserve_server.imaging.errors import InvalidImageError
from segserve_server.imaging.header import ImageHeader, open_image
from segserve_server.imaging.settings import ImageCaps

UInt8Array = npt.NDArray[np.uint8]

_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """``pixels``: uint8 [h, w, 3] RGB as displayed, each covering ``reduction`` x ``reduction`` photograph pixels."""

    pixels: UInt8Array
    header: ImageHeader
    reduction: int


def choose_reduction(header: ImageHeader, *, grid: int, limit: int) -> int:
    """The largest of 1, 2, 4, 8 up to ``limit`` that keeps the image's short side at ``grid`` pixels or more.

    Only JPEG has it: its decoder computes fewer DCT coefficients, so a reduced picture is both cheaper and free of
    aliasing. Every other format decodes at full size.
    """
    if header.format != "JPEG":
        return 1
    short = min(header.stored_width, header.stored_height)
    return max(k for k in (1, 2, 4, 8) if k == 1 or (k <= limit and short // k >= grid))


def decode(encoded: bytes, *, caps: ImageCaps, grid: int, max_reduction: int = 1) -> DecodedImage:
    """Decode an image to 8-bit RGB in the orientation in which it is displayed.

    16-bit channels keep their high byte; alpha is composited over black; grey, palette and CMYK become RGB; an
    embedded ICC profile is ignored. Raises InvalidImageError (see ``open_image``), also for a truncated body.
    """
    image, header = open_image(encoded, caps=caps)
    reduction = choose_reduction(header, grid=grid, limit=max_reduction)
    try:
        if reduction > 1:
            image.draft(image.mode, (header.stored_width // reduction, header.stored_height // reduction))
        image.load()
        pixels = _to_rgb(image)
    except InvalidImageError:
        raise
    except Exception as error:  # Pillow's decoders raise many types on damaged data; all mean the same here
        raise InvalidImageError("the image data is truncated or damaged") from error
    if header.format != "TIFF":  # Pillow turns a TIFF itself
        pixels = _orient(pixels, header.orientation)
    expected = (-(-header.height // reduction), -(-header.width // reduction), 3)
    if pixels.shape != expected:
        raise InvalidImageError("the image data does not have the size its header states")
    return DecodedImage(pixels=pixels, header=header, reduction=reduction)


def _to_rgb(image: Image.Image) -> UInt8Array:
    if image.mode in _SIXTEEN_BIT:
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    if image.mode in ("I", "F"):
        raise InvalidImageError(f"32-bit pixels (mode {image.mode}) are not supported; send 8 or 16 bit")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return np.asarray(Image.alpha_composite(black, rgba))[:, :, :3]
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _orient(pixels: UInt8Array, orientation: int) -> UInt8Array:
    """Apply EXIF orientation (EXIF 2.32, tag 0x0112) to stored pixels; a view, no copy."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    flip_rows = orientation in (3, 4, 7, 8)
    flip_columns = orientation in (2, 3, 6, 7)
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
