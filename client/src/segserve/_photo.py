"""The photograph as displayed, to draw on."""

import io
from typing import TYPE_CHECKING

import numpy as np

from segserve.errors import InvalidInputError

if TYPE_CHECKING:
    from PIL import Image


def decode_photo(encoded: bytes) -> "Image.Image":
    """Decode to 8-bit RGB with EXIF orientation applied, which is the grid of the masks.

    16-bit grey keeps its high byte and transparency becomes black, as on the server. Raises InvalidInputError.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        image: Image.Image = Image.open(io.BytesIO(encoded))
        image.load()
        image = ImageOps.exif_transpose(image)
    except (
        UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,  # where a program makes warnings errors
    ) as error:
        raise InvalidInputError(f"cannot decode the image to draw on it: {error}") from error
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba).convert("RGB")
    return image.convert("RGB")
