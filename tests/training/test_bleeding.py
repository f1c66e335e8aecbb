"""Painted bleedings are dark, annotated, inside the field of view, and leave the rest alone."""

import numpy as np
import pytest

from training.augment import random_crop
from training.bleeding import paint_bleeding
from training.samples import Sample

CROP = 96


def _crop() -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """A bright retina with a black frame on the left, and exudates (class 2) and optic disc (4) everywhere."""
    image = np.full((CROP, CROP, 3), (200, 120, 60), np.uint8)
    image[:, :20] = 0
    masks = np.zeros((CROP, CROP, 5), np.uint8)
    masks[:, :, 2] = masks[:, :, 4] = 255
    return image, masks


@pytest.mark.parametrize("seed", range(8))
def test_what_is_annotated_is_what_was_darkened(seed: int) -> None:
    image, masks = _crop()
    painted, marked = paint_bleeding(image, masks, np.random.default_rng(seed))
    covered = marked[:, :, 0] == 255
    assert 0.02 < covered.mean() < 0.5
    assert not covered[:, :20].any()
    assert (painted[covered] < image[covered]).mean() > 0.95
    assert np.array_equal(painted[:, :20], image[:, :20])
    assert (marked[covered, 2] == 0).all()
    assert (marked[~covered, 2] == 255).all()
    assert (marked[:, :, 4] == 255).all()


def test_the_crop_given_is_left_as_it_was() -> None:
    image, masks = _crop()
    before = image.copy(), masks.copy()
    paint_bleeding(image, masks, np.random.default_rng(1))
    assert np.array_equal(image, before[0])
    assert np.array_equal(masks, before[1])


@pytest.mark.parametrize(("share", "fewest", "most"), [(0.0, 0, 0), (0.5, 5, 15), (1.0, 15, 20)])
def test_the_share_of_painted_crops_is_the_one_asked_for(share: float, fewest: int, most: int) -> None:
    image, masks = _crop()  # a crop may lie in the frame, where nothing is painted
    sample = Sample("s", image, masks)
    crops = [random_crop(sample, crop=64, rng=np.random.default_rng(k), bleeding=share)[1] for k in range(20)]
    assert fewest <= sum(bool((m[:, :, 0] == 255).any()) for m in crops) <= most
