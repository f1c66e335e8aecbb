"""Crops keep picture, masks and landmarks together, and leave the photograph as it was."""

import numpy as np
import pytest

from training.augment import random_crop, random_landmark_crop, random_overview, random_view
from training.samples import Sample, UnlabelledSample

GRID, CROP = 128, 64


def _image() -> np.ndarray:  # type: ignore[type-arg]
    image = np.full((GRID, GRID, 3), 120, np.uint8)
    image[60:70, 60:70] = 30
    return image


@pytest.mark.parametrize("seed", range(5))
def test_a_mask_stays_on_its_lesion(seed: int) -> None:
    masks = np.zeros((GRID, GRID, 5), np.uint8)
    masks[60:70, 60:70] = 255
    sample = Sample("s", _image(), masks)
    before = sample.image.copy(), sample.masks.copy()
    image, cropped = random_crop(sample, crop=CROP, rng=np.random.default_rng(seed))
    assert image.shape == (CROP, CROP, 3)
    assert cropped.shape == (CROP, CROP, 5)
    inside = image[cropped[:, :, 0] == 255]
    if len(inside):
        assert inside.max() < image[cropped[:, :, 0] == 0].max()
    assert np.array_equal(sample.image, before[0])
    assert np.array_equal(sample.masks, before[1])


def test_the_heat_map_is_hottest_on_the_landmark() -> None:
    landmarks = np.array([[64.5, 64.5], [64.5, 64.5]])
    image = np.full((GRID, GRID, 3), 200, np.uint8)
    image[63:67, 63:67] = 20
    for seed in range(5):
        rng = np.random.default_rng(seed)
        view, heat = random_landmark_crop(UnlabelledSample("s", image, landmarks), crop=CROP, rng=rng)
        row, column = np.unravel_index(int(heat[:, :, 0].argmax()), (CROP, CROP))
        if 2 < row < CROP - 3 and 2 < column < CROP - 3:
            assert view[row, column].max() < 150


def test_two_views_of_a_photograph_differ() -> None:
    rng = np.random.default_rng(1)
    first, second = (random_view(_image(), crop=CROP, rng=rng) for _ in range(2))
    assert first.shape == (CROP, CROP, 3)
    assert not np.array_equal(first, second)


def test_an_overview_tiles_whole_photographs_with_their_masks() -> None:
    masks = np.zeros((GRID, GRID, 5), np.uint8)
    masks[32:96, 32:96, 0] = 255
    image = np.full((GRID, GRID, 3), 120, np.uint8)
    image[32:96, 32:96] = 30
    samples = [Sample("s", image, masks), Sample("t", image, masks)]
    for seed in range(5):
        mosaic, drawn = random_overview(samples, 1, crop=CROP, rng=np.random.default_rng(seed))
        assert (mosaic.shape, drawn.shape) == ((CROP, CROP, 3), (CROP, CROP, 5))
        for rows in (slice(0, CROP // 2), slice(CROP // 2, CROP)):
            for columns in (slice(0, CROP // 2), slice(CROP // 2, CROP)):
                tile, lesion = mosaic[rows, columns], drawn[rows, columns, 0]
                assert (lesion == 255).any(), "each tile shows the middle of its photograph"
                assert tile[lesion == 255].mean() < tile[(lesion == 0) & (tile.max(axis=2) > 0)].mean()


def test_overviews_get_bleedings_too() -> None:
    sample = Sample("s", np.full((GRID, GRID, 3), 160, np.uint8), np.zeros((GRID, GRID, 5), np.uint8))
    _, without = random_overview([sample], 0, crop=CROP, rng=np.random.default_rng(1))
    _, painted = random_overview([sample], 0, crop=CROP, rng=np.random.default_rng(1), bleeding=1.0)
    assert not without.any()
    assert painted[:, :, 0].any()
