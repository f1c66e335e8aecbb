"""Decoding: every layout becomes 8-bit RGB as displayed, everything else is refused with a reason."""

import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageOps

from segserve_server.imaging.decode import choose_reduction, decode
from segserve_server.imaging.errors import InvalidImageError
from segserve_server.imaging.header import ImageHeader
from segserve_server.imaging.settings import ImageCaps
from tests.support.bad_images import BAD_IMAGES
from tests.support.images import encode, fundus, with_orientation

CAPS = ImageCaps()


def decode_full(encoded: bytes) -> npt.NDArray[Any]:
    return decode(encoded, caps=CAPS, grid=1024).pixels


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP", "WEBP"])
def test_lossless_formats_keep_every_pixel(kind: str) -> None:
    pixels = fundus(90, 60)
    options = {"lossless": True} if kind == "WEBP" else {}
    np.testing.assert_array_equal(decode_full(encode(pixels, kind, **options)), pixels)


def test_grey_becomes_three_equal_channels() -> None:
    grey = fundus(40, 30)[..., 1]
    np.testing.assert_array_equal(decode_full(encode(grey, "PNG")), np.dstack([grey] * 3))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_high_byte(kind: str) -> None:
    deep = (np.arange(40 * 30).reshape(30, 40) * 50).astype(np.uint16)
    decoded = decode(encode(deep, kind), caps=CAPS, grid=1024)
    np.testing.assert_array_equal(decoded.pixels[..., 0], deep >> 8)
    assert decoded.header.bit_depth == 16


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_rgb_keeps_its_high_byte(suffix: str) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (30, 40, 3), dtype=np.uint16)
    encoded = cv2.imencode(suffix, deep[..., ::-1])[1].tobytes()
    decoded = decode(encoded, caps=CAPS, grid=1024)
    np.testing.assert_array_equal(decoded.pixels, deep >> 8)
    assert decoded.header.bit_depth == 16


def test_transparent_pixels_are_black() -> None:
    rgba = np.dstack([fundus(40, 30), np.full((30, 40), 255, np.uint8)])
    rgba[:10, :, 3] = 0
    decoded = decode_full(encode(rgba, "PNG"))
    assert not decoded[:10].any()
    np.testing.assert_array_equal(decoded[10:], rgba[10:, :, :3])


def test_palette_and_bilevel_and_cmyk_become_rgb() -> None:
    pixels = fundus(64, 48)
    for image in (
        Image.fromarray(pixels).convert("P"),
        Image.fromarray(pixels).convert("1"),
        Image.fromarray(pixels).convert("CMYK"),
    ):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG" if image.mode == "CMYK" else "PNG")
        assert decode_full(buffer.getvalue()).shape == (48, 64, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_and_both_sizes_are_reported(orientation: int, kind: str) -> None:
    pixels = fundus(96, 64)
    pixels[:20, :20] = 255
    encoded = with_orientation(pixels, orientation, kind=kind)
    decoded = decode(encoded, caps=CAPS, grid=1024)
    with Image.open(io.BytesIO(encoded)) as image:
        shown = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    np.testing.assert_array_equal(decoded.pixels, shown)
    header = decoded.header
    assert (header.stored_width, header.stored_height) == (96, 64)
    assert header.orientation == orientation
    assert (header.width, header.height) == (shown.shape[1], shown.shape[0])


@pytest.mark.parametrize(
    ("width", "height", "limit", "expected"),
    [
        (4288, 2848, 8, 2),
        (4288, 2848, 1, 1),
        (2048, 2048, 8, 2),
        (2047, 2047, 8, 1),
        (12000, 9000, 8, 8),
        (12000, 9000, 4, 4),
        (500, 9000, 8, 1),
    ],
)
def test_a_jpeg_is_reduced_as_far_as_its_short_side_covers_the_grid(
    width: int, height: int, limit: int, expected: int
) -> None:
    header = ImageHeader("JPEG", width, height, 1, 8, has_icc_profile=False)
    assert choose_reduction(header, grid=1024, limit=limit) == expected


def test_only_jpeg_is_reduced() -> None:
    assert choose_reduction(ImageHeader("PNG", 9000, 9000, 1, 8, has_icc_profile=False), grid=1024, limit=8) == 1


@pytest.mark.parametrize("size", [(257, 131), (256, 128), (255, 130)])
def test_a_reduced_jpeg_covers_the_photograph_to_the_last_pixel(size: tuple[int, int]) -> None:
    encoded = encode(fundus(*size), "JPEG")
    decoded = decode(encoded, caps=CAPS, grid=32, max_reduction=4)
    assert decoded.reduction == 4
    assert decoded.pixels.shape == (-(-size[1] // 4), -(-size[0] // 4), 3)


@pytest.mark.parametrize("name", BAD_IMAGES)
def test_bad_bytes_are_refused_with_a_short_reason(name: str) -> None:
    encoded, reason = BAD_IMAGES[name]
    with pytest.raises(InvalidImageError, match=reason) as caught:
        decode(encoded, caps=CAPS, grid=1024, max_reduction=8)
    message = str(caught.value)
    assert len(message) < 160
    assert "/" not in message.replace("1/", "")


@pytest.mark.parametrize("seed", range(40))
def test_damaged_files_are_decoded_or_refused_never_anything_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kind = ("JPEG", "PNG", "TIFF", "BMP", "WEBP")[seed % 5]
    damaged = bytearray(encode(fundus(80, 60), kind))
    for place in rng.integers(0, len(damaged), 12):
        damaged[place] = rng.integers(256)
    try:
        decoded = decode(bytes(damaged), caps=CAPS, grid=32, max_reduction=8)
    except InvalidImageError:
        return
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.ndim == 3
