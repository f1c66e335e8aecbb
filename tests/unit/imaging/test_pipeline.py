"""The two steps end to end, on every kind of photograph a sender might have."""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segserve_server.imaging.contrast import equalise_contrast
from segserve_server.imaging.errors import ImagingError, SettingsError
from segserve_server.imaging.pipeline import (
    WARN_ICC_IGNORED,
    WARN_LOW_RESOLUTION,
    WARN_NO_FIELD_OF_VIEW,
    postprocess,
    preprocess,
)
from segserve_server.imaging.resample import model_to_photo
from segserve_server.imaging.settings import (
    ClaheSettings,
    ClassSettings,
    ImageCaps,
    PostprocessSettings,
    PreprocessSettings,
)
from tests.support.images import encode, fundus, with_orientation

SMALL = PreprocessSettings(grid=64)
CLASSES = PostprocessSettings((ClassSettings("hemorrhage", "#e6194b", 0.5),))


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(32, 500),
    height=st.integers(32, 500),
    kind=st.sampled_from(["JPEG", "PNG", "TIFF", "BMP", "WEBP"]),
    layout=st.sampled_from(["rgb", "grey", "rgba", "sixteen"]),
)
def test_any_size_and_layout_gives_model_input_and_masks(width: int, height: int, kind: str, layout: str) -> None:
    pixels = fundus(width, height)
    array: npt.NDArray[Any] = pixels
    if layout == "grey":
        array = pixels[..., 0]
        kind = "PNG" if kind == "WEBP" else kind
    elif layout == "rgba":
        array, kind = np.dstack([pixels, np.full((height, width), 255, np.uint8)]), "PNG"
    elif layout == "sixteen":
        array, kind = pixels[..., 0].astype(np.uint16) * 257, "TIFF"
    seen = preprocess(encode(array, kind), SMALL)
    assert seen.pixels.shape == (64, 64, 3)
    assert seen.pixels.dtype == np.uint8
    (found,) = postprocess(np.full((1, 64, 64), 255, np.uint8), seen.geometry, CLASSES)
    mask = found.mask()
    assert mask.shape == (height, width)
    x0, y0, x1, y1 = seen.geometry.visible
    assert mask[y0:y1, x0:x1].all()
    assert mask.sum() == (x1 - x0) * (y1 - y0)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (12_000, 9_000), (30_000, 3), (3, 30_000)])
def test_extreme_sizes_pass(width: int, height: int) -> None:
    seen = preprocess(encode(np.full((height, width), 60, np.uint8), "PNG"), PreprocessSettings())
    assert seen.pixels.shape == (1024, 1024, 3)
    assert WARN_NO_FIELD_OF_VIEW in seen.warnings
    (found,) = postprocess(np.zeros((1, 1024, 1024), np.uint8), seen.geometry, CLASSES)
    assert (found.width, found.height) == (width, height)


def test_a_turned_photograph_is_seen_as_displayed() -> None:
    pixels = fundus(300, 200)
    pixels[:50, :70] = 255
    turned = preprocess(with_orientation(pixels, 6, kind="PNG"), SMALL)
    displayed = preprocess(encode(np.ascontiguousarray(np.rot90(pixels, -1)), "PNG"), SMALL)
    np.testing.assert_array_equal(turned.pixels, displayed.pixels)
    assert (turned.header.width, turned.header.height) == (200, 300)
    assert (turned.header.stored_width, turned.header.stored_height) == (300, 200)


@pytest.mark.parametrize("size", [(1200, 900), (1201, 899)])
def test_a_reduced_jpeg_shows_every_structure_where_the_full_one_does(size: tuple[int, int]) -> None:
    encoded = encode(fundus(*size), "JPEG", quality=95)
    in_photo = []
    for limit in (8, 1):
        seen = preprocess(
            encoded, PreprocessSettings(grid=256, max_jpeg_reduction=limit, clahe=ClaheSettings(enabled=False))
        )
        window = (size[0] // 2 - 380, size[1] // 2 - 380, size[0] // 2 + 380, size[1] // 2 + 380)
        in_photo.append(model_to_photo(np.ascontiguousarray(seen.pixels[..., 1]), seen.geometry, window).astype(int))
    shifted = np.abs(in_photo[0][:, 2:] - in_photo[1][:, :-2]).mean()
    aligned = np.abs(in_photo[0] - in_photo[1]).mean()
    assert aligned < 1.0
    assert shifted > 2 * aligned


def test_warnings_name_what_a_reader_should_know() -> None:
    tiny = preprocess(encode(fundus(40, 40), "PNG", icc_profile=b"profile"), SMALL)
    assert set(tiny.warnings) == {WARN_LOW_RESOLUTION, WARN_ICC_IGNORED}
    black = preprocess(encode(np.zeros((100, 100, 3), np.uint8), "PNG"), SMALL)
    assert black.warnings == (WARN_NO_FIELD_OF_VIEW,)
    assert not black.field_of_view.found


def test_the_hash_is_of_the_bytes_as_sent() -> None:
    encoded = encode(fundus(64, 64), "JPEG")
    assert preprocess(encoded, SMALL).sha256 == hashlib.sha256(encoded).hexdigest()


def test_a_full_frame_crop_takes_the_whole_image_and_warns_of_nothing() -> None:
    seen = preprocess(encode(fundus(200, 100), "PNG"), PreprocessSettings(grid=64, crop="full_frame"))
    assert (seen.geometry.crop_x, seen.geometry.crop_y, seen.geometry.crop_side) == (-4, -54, 208)
    assert seen.warnings == ()


def test_contrast_is_raised_without_touching_the_input() -> None:
    flat = np.random.default_rng(0).integers(100, 110, (64, 64, 3), dtype=np.uint8)
    before = flat.copy()
    assert equalise_contrast(flat, ClaheSettings(clip_limit=8.0)).std() > flat.std()
    np.testing.assert_array_equal(flat, before)
    assert equalise_contrast(flat, ClaheSettings(enabled=False)) is flat


def test_probability_of_another_shape_is_refused() -> None:
    seen = preprocess(encode(fundus(64, 64), "PNG"), SMALL)
    with pytest.raises(ImagingError, match=r"\(2, 64, 64\)"):
        postprocess(np.zeros((2, 64, 64), np.uint8), seen.geometry, CLASSES)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PreprocessSettings(grid=1000),
        lambda: PreprocessSettings(max_jpeg_reduction=3),
        lambda: PreprocessSettings(crop="retina"),
        lambda: ClaheSettings(clip_limit=0),
        lambda: ClaheSettings(tiles=0),
        lambda: ImageCaps(max_bytes=0),
        lambda: ClassSettings("Hemorrhage", "#e6194b", 0.5),
        lambda: ClassSettings("hemorrhage", "red", 0.5),
        lambda: ClassSettings("hemorrhage", "#e6194b", 0.0),
        lambda: ClassSettings("hemorrhage", "#e6194b", 0.5, -1),
        lambda: PostprocessSettings(()),
        lambda: PostprocessSettings((CLASSES.classes[0], CLASSES.classes[0])),
    ],
)
def test_settings_out_of_range_are_refused(make: object) -> None:
    with pytest.raises(SettingsError):
        make()  # type: ignore[operator]
