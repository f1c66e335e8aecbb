"""What an encoded image says of itself, read and checked before a pixel is decoded."""

import io
from dataclasses import dataclass

from PIL import Image, TiffImagePlugin

from segserve_server.imaging.errors import InvalidImageError
from segserve_server.imaging.settings import ImageCaps

FORMATS = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")
_READABLE = (*FORMATS, "MPO")
_ORIENTATION_TAG = 0x0112
_TIFF_BITS_TAG, _TIFF_WIDTH_TAG, _TIFF_HEIGHT_TAG = 258, 256, 257
_PNG_BIT_DEPTH_OFFSET = 24  # PNG specification, IHDR: signature 8, length 4, type 4, width 4, height 4, bit depth

# The caps of ImageCaps, checked below from the header, replace Pillow's own limit.
Image.MAX_IMAGE_PIXELS = None

# Files that people send by mistake, by their first bytes, so that the answer can name them.
_FOREIGN = (
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF"),
    (b"<svg", "an SVG"),
    (b"<?xml", "an XML or SVG file"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip-compressed"),
    (b"\x00\x00\x00\x0cjP", "a JPEG 2000 file"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 codestream"),
)


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Facts from the header. Sizes in pixels; ``orientation`` is EXIF's, 1 to 8; ``bit_depth`` per channel."""

    format: str
    stored_width: int
    stored_height: int
    orientation: int
    bit_depth: int
    has_icc_profile: bool

    @property
    def swaps_axes(self) -> bool:
        """Whether the orientation exchanges width and height (EXIF 5 to 8)."""
        return self.orientation >= 5

    @property
    def width(self) -> int:
        """Width as displayed."""
        return self.stored_height if self.swaps_axes else self.stored_width

    @property
    def height(self) -> int:
        """Height as displayed."""
        return self.stored_width if self.swaps_axes else self.stored_height


def open_image(encoded: bytes, *, caps: ImageCaps) -> tuple[Image.Image, ImageHeader]:
    """Open an encoded image lazily and check its header.

    Returns the Pillow image, no pixel decoded yet, and its header.
    Raises InvalidImageError: empty, over a cap, not one of FORMATS, several pages, or a broken header.
    """
    if not encoded:
        raise InvalidImageError("the image is empty (0 bytes)")
    if len(encoded) > caps.max_bytes:
        raise InvalidImageError(f"the file has {len(encoded)} bytes, more than the {caps.max_bytes} allowed")
    try:
        image = Image.open(io.BytesIO(encoded), formats=_READABLE)
        header = _read_header(image, encoded)
        pages = getattr(image, "n_frames", 1)
    except Exception as error:  # Pillow's parsers raise many types on hostile bytes; all mean the same here
        raise InvalidImageError(_explain(encoded)) from error
    if pages != 1:
        raise InvalidImageError(f"the file holds {pages} pages or frames; send one image")
    width, height = header.stored_width, header.stored_height
    if width < 1 or height < 1:
        raise InvalidImageError(f"the image is {width} x {height} pixels")
    if max(width, height) > caps.max_side:
        raise InvalidImageError(f"the image is {width} x {height}; a side may have {caps.max_side} pixels")
    if width * height > caps.max_pixels:
        raise InvalidImageError(f"the image is {width} x {height}; {caps.max_pixels} pixels are allowed")
    return image, header


def _read_header(image: Image.Image, encoded: bytes) -> ImageHeader:
    width, height = image.size
    bit_depth = 8
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # Pillow reports a TIFF's size as displayed; the tags hold the stored one.
        width, height = int(image.tag_v2[_TIFF_WIDTH_TAG]), int(image.tag_v2[_TIFF_HEIGHT_TAG])
        bit_depth = int(max(image.tag_v2.get(_TIFF_BITS_TAG, (1,))))
    elif image.format == "PNG":
        bit_depth = encoded[_PNG_BIT_DEPTH_OFFSET]
    elif image.mode == "1":
        bit_depth = 1
    if image.format == "PNG":
        # Pillow would decode the whole PNG to look for EXIF behind its pixels; what stands before them is all we read.
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))
    else:
        exif = image.getexif()
    orientation = int(exif.get(_ORIENTATION_TAG, 1))
    return ImageHeader(
        format="JPEG" if image.format == "MPO" else str(image.format),
        stored_width=width,
        stored_height=height,
        orientation=orientation if 1 <= orientation <= 8 else 1,
        bit_depth=bit_depth,
        has_icc_profile=bool(image.info.get("icc_profile")),
    )


def _explain(encoded: bytes) -> str:
    head = encoded[:256].lstrip()
    for magic, name in _FOREIGN:
        if head.startswith(magic):
            return f"the file is {name}; send JPEG, PNG, TIFF, BMP or WebP"
    if encoded[128:132] == b"DICM":
        return "the file is DICOM; send the JPEG or PNG picture inside it"
    return "the bytes are not a readable JPEG, PNG, TIFF, BMP or WebP image (or its header is damaged)"
