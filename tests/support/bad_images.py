"""Every kind of bytes that is refused, by name, with a word of the reason that is given."""

import io
import zlib

import numpy as np
from PIL import Image

from segserve_server.imaging.settings import ImageCaps
from tests.support.images import encode, fundus


def bomb() -> bytes:
    """A PNG of 40,000 x 40,000 pixels in a few dozen bytes."""
    good = encode(np.zeros((2, 2), np.uint8), "PNG")
    head = bytearray(good[:33])
    head[16:24] = (40_000).to_bytes(4, "big") * 2
    head[29:33] = zlib.crc32(head[12:29]).to_bytes(4, "big")
    return bytes(head) + good[33:]


def pages(kind: str) -> bytes:
    """Two frames in one file."""
    buffer = io.BytesIO()
    frame = Image.fromarray(fundus(20, 20))
    frame.save(buffer, kind, save_all=True, append_images=[frame.rotate(90)])
    return buffer.getvalue()


BAD_IMAGES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "text": (b"this is not a picture", "not a readable"),
    "truncated header": (encode(fundus(64, 64), "JPEG")[:40], "not a readable"),
    "truncated JPEG body": (encode(fundus(512, 512), "JPEG")[:3000], "truncated"),
    "truncated PNG body": (encode(fundus(512, 512), "PNG")[:-3000], "truncated"),
    "truncated TIFF body": (encode(fundus(64, 64), "TIFF")[:2000], "."),
    "truncated WebP body": (encode(fundus(512, 512), "WEBP")[:-300], "."),
    "truncated BMP body": (encode(fundus(64, 64), "BMP")[:2000], "truncated"),
    "bomb": (bomb(), "40000 x 40000"),
    "over the pixel cap": (encode(np.zeros((11_000, 11_000), np.uint8), "PNG"), "11000 x 11000"),
    "over the side cap": (encode(np.zeros((1, 30_001), np.uint8), "PNG"), "30001 x 1"),
    "over the byte cap": (bytes(ImageCaps().max_bytes + 1), "33554433 bytes"),
    "GIF": (encode(fundus(20, 20)[..., 0], "GIF"), "a GIF"),
    "several TIFF pages": (pages("TIFF"), "2 pages"),
    "animated PNG": (pages("PNG"), "2 pages"),
    "animated WebP": (pages("WEBP"), "2 pages"),
    "SVG": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"),
    "DICOM": (bytes(128) + b"DICM" + bytes(200), "DICOM"),
    "gzip": (b"\x1f\x8b\x08" + bytes(30), "gzip"),
    "float TIFF": (encode(np.ones((8, 8), np.float32), "TIFF"), "32-bit"),
}
