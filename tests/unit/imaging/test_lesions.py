"""Lesions and masks: what is counted is what the mask holds, in the photograph's grid."""

import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from segserve_server.imaging.geometry import Geometry
from segserve_server.imaging.lesions import find_lesions
from segserve_server.imaging.png import encode_mask
from segserve_server.imaging.resample import model_to_photo
from segserve_server.imaging.settings import ClassSettings

GRID = 64


def hemorrhage(*, threshold: float = 0.5, minimum: float = 0.0) -> ClassSettings:
    return ClassSettings("hemorrhage", "#e6194b", threshold, minimum)


@st.composite
def geometries(draw: st.DrawFn) -> Geometry:
    width, height = draw(st.integers(1, 400)), draw(st.integers(1, 400))
    side = draw(st.integers(max(width, height) // 2 + 1, max(width, height) + 40))
    x = draw(st.integers(-side + 1, width - 1))
    y = draw(st.integers(-side + 1, height - 1))
    return Geometry(width=width, height=height, crop_x=x, crop_y=y, crop_side=side, grid=GRID)


def blobs(seed: int) -> npt.NDArray[Any]:
    noise = np.random.default_rng(seed).integers(0, 256, (GRID, GRID), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 2.0).astype(float)
    stretched = (blurred - blurred.min()) / (blurred.max() - blurred.min())
    scaled: npt.NDArray[Any] = (stretched * 255).astype(np.uint8)
    return scaled


def reference_mask(
    probability: npt.NDArray[Any], geometry: Geometry, level: int, minimum_px: float
) -> npt.NDArray[Any]:
    """The definition in its plainest form: everything at full size, no window."""
    whole = np.zeros((geometry.height, geometry.width), np.uint8)
    x0, y0, x1, y1 = geometry.visible
    whole[y0:y1, x0:x1] = model_to_photo(probability, geometry, (x0, y0, x1, y1)) >= level
    count, labels, stats, _ = cv2.connectedComponentsWithStats(whole, connectivity=8)
    keep = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= minimum_px]
    return np.isin(labels, keep)


@given(geometries(), st.integers(0, 10_000), st.floats(0.3, 0.95), st.sampled_from([0.0, 5.0]))
def test_mask_report_and_definition_agree(geometry: Geometry, seed: int, threshold: float, minimum: float) -> None:
    probability = blobs(seed)
    before = probability.copy()
    settings_ = hemorrhage(threshold=threshold, minimum=minimum)
    found = find_lesions(probability, geometry, settings_)
    np.testing.assert_array_equal(probability, before)  # inputs are read-only by custom
    mask = found.mask()
    expected = reference_mask(probability, geometry, settings_.threshold_level, minimum * geometry.scale**2)
    np.testing.assert_array_equal(mask, expected)
    assert mask.shape == (geometry.height, geometry.width)
    assert found.area_px == int(mask.sum()) == sum(lesion.area_px for lesion in found.lesions)
    assert [lesion.area_px for lesion in found.lesions] == sorted((x.area_px for x in found.lesions), reverse=True)
    for lesion in found.lesions:
        x, y, width, height = lesion.bbox
        assert 0 <= x < x + width <= geometry.width
        assert 0 <= y < y + height <= geometry.height
        assert x <= lesion.centroid[0] <= x + width - 1
        assert y <= lesion.centroid[1] <= y + height - 1
        assert settings_.threshold_level / 255 <= lesion.mean_probability <= lesion.max_probability + 1e-12
    with Image.open(io.BytesIO(found.mask_png())) as image:
        assert image.mode == "1"
        np.testing.assert_array_equal(np.asarray(image), mask)


def test_the_threshold_is_on_the_eight_bit_value_and_inclusive() -> None:
    geometry = Geometry(width=GRID, height=GRID, crop_x=0, crop_y=0, crop_side=GRID, grid=GRID)
    probability = np.zeros((GRID, GRID), np.uint8)
    probability[3, 3], probability[9, 9] = 127, 128
    assert hemorrhage(threshold=0.5).threshold_level == 128
    found = find_lesions(probability, geometry, hemorrhage(threshold=0.5))
    assert [lesion.bbox for lesion in found.lesions] == [(9, 9, 1, 1)]
    assert hemorrhage(threshold=128 / 255).threshold_level == 128
    assert hemorrhage(threshold=1.0).threshold_level == 255


def test_pixels_that_touch_at_a_corner_are_one_lesion() -> None:
    geometry = Geometry(width=GRID, height=GRID, crop_x=0, crop_y=0, crop_side=GRID, grid=GRID)
    probability = np.zeros((GRID, GRID), np.uint8)
    probability[4, 4] = probability[5, 5] = 255
    (lesion,) = find_lesions(probability, geometry, hemorrhage()).lesions
    assert lesion.area_px == 2
    assert lesion.centroid == (4.5, 4.5)
    assert lesion.mean_probability == lesion.max_probability == 1.0


def test_a_lesion_under_the_minimum_area_leaves_report_and_mask() -> None:
    geometry = Geometry(width=GRID, height=GRID, crop_x=0, crop_y=0, crop_side=GRID, grid=GRID)
    probability = np.zeros((GRID, GRID), np.uint8)
    probability[4, 4:8] = 255
    probability[20:23, 20:23] = 255
    found = find_lesions(probability, geometry, hemorrhage(minimum=5))
    assert [lesion.area_px for lesion in found.lesions] == [9]
    assert not found.mask()[4].any()


def test_nothing_found_is_an_empty_mask_of_the_photographs_size() -> None:
    geometry = Geometry(width=123, height=45, crop_x=-3, crop_y=-40, crop_side=128, grid=GRID)
    found = find_lesions(np.zeros((GRID, GRID), np.uint8), geometry, hemorrhage())
    assert found.lesions == ()
    with Image.open(io.BytesIO(found.mask_png())) as image:
        assert image.size == (123, 45)
        assert image.getbbox() is None


@settings(max_examples=60)
@given(st.integers(1, 70), st.integers(1, 40), st.data())
def test_a_mask_png_reads_back_wherever_its_window_lies(width: int, height: int, data: st.DataObject) -> None:
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    columns, rows = data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y))
    window = np.random.default_rng(rows * 100 + columns).random((rows, columns)) < 0.5
    encoded = encode_mask(window, x=x, y=y, width=width, height=height)
    expected = np.zeros((height, width), bool)
    expected[y : y + rows, x : x + columns] = window
    with Image.open(io.BytesIO(encoded)) as image:
        np.testing.assert_array_equal(np.asarray(image), expected)
    decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(decoded > 0, expected)


@pytest.mark.parametrize("area", [(12_000, 9_000)])
def test_a_large_photograph_has_a_mask_of_its_size(area: tuple[int, int]) -> None:
    width, height = area
    geometry = Geometry(width=width, height=height, crop_x=0, crop_y=-1504, crop_side=12_000, grid=1024)
    probability = np.zeros((1024, 1024), np.uint8)
    probability[500:505, 700:705] = 255
    found = find_lesions(probability, geometry, hemorrhage())
    assert found.window.size < 100 * 100 * 2
    with Image.open(io.BytesIO(found.mask_png())) as image:
        assert image.size == (width, height)
