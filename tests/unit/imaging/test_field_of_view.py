"""The field of view is found in fundus photographs and not invented elsewhere."""

import numpy as np
import pytest

from segserve_server.imaging.field_of_view import find_field_of_view
from tests.support.images import fundus


@pytest.mark.parametrize(("width", "height"), [(64, 64), (640, 480), (480, 640), (2144, 1424), (3000, 900)])
def test_a_disc_is_boxed_within_two_hundredths_of_its_width(width: int, height: int) -> None:
    radius = 0.4 * min(width, height)
    found = find_field_of_view(fundus(width, height, radius=radius), reduction=1, width=width, height=height)
    tolerance = max(2.0, max(width, height) / 100)
    assert found.found
    assert abs(found.x - (width / 2 - radius)) <= tolerance
    assert abs(found.width - 2 * radius) <= 2 * tolerance
    assert found.area_px == pytest.approx(np.pi * radius**2, rel=0.1)


def test_a_disc_cut_by_the_frame_keeps_its_full_width() -> None:
    found = find_field_of_view(fundus(400, 260, radius=170), reduction=1, width=400, height=260)
    assert (found.y, found.height) == (0, 260)
    assert abs(found.width - 340) <= 6


def test_the_box_is_in_pixels_of_the_photograph_when_the_pixels_are_reduced() -> None:
    whole = fundus(1200, 800, radius=300)
    full = find_field_of_view(whole, reduction=1, width=1200, height=800)
    half = find_field_of_view(whole[::2, ::2], reduction=2, width=1200, height=800)
    for one, other in ((full.x, half.x), (full.y, half.y), (full.width, half.width), (full.height, half.height)):
        assert abs(one - other) <= 10


@pytest.mark.parametrize("value", [0, 5, 255])
def test_a_uniform_frame_has_no_field_of_view_and_is_used_whole(value: int) -> None:
    found = find_field_of_view(np.full((50, 70, 3), value, np.uint8), reduction=1, width=70, height=50)
    assert not found.found
    assert (found.x, found.y, found.width, found.height, found.area_px) == (0, 0, 70, 50, 3500)


def test_a_bright_label_in_the_corner_is_not_the_field_of_view() -> None:
    image = fundus(600, 400, radius=150)
    image[5:25, 5:80] = 255
    found = find_field_of_view(image, reduction=1, width=600, height=400)
    assert found.x > 120


def test_noise_in_the_dark_frame_does_not_widen_the_box() -> None:
    image = fundus(600, 400, radius=150)
    noise = np.random.default_rng(0).integers(0, 10, image.shape, dtype=np.uint8)
    clean = find_field_of_view(image, reduction=1, width=600, height=400)
    noisy = find_field_of_view(np.maximum(image, noise), reduction=1, width=600, height=400)
    assert abs(clean.x - noisy.x) <= 3
    assert abs(clean.width - noisy.width) <= 6
