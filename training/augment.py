"""Random crops of a photograph on the model grid, turned, scaled and recoloured as fundus cameras differ."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from segserve_server.imaging.decode import UInt8Array
from training.bleeding import paint_bleeding
from training.config import COARSE
from training.samples import Sample, UnlabelledSample

Float64Array = npt.NDArray[np.float64]

_LESION_BIAS = 0.7  # share of crops centred near a haemorrhage, where the photograph has one
_SCALE = (0.7, 1.5)
_HEAT_MAP_SIGMA = 0.05  # of the crop's side: about the optic disc's radius on half the grid
_BLUR_SHARE = 0.5
_GREY_SHARE = 0.1


def random_crop(
    sample: Sample, *, crop: int, rng: np.random.Generator, bleeding: float = 0.0
) -> tuple[UInt8Array, UInt8Array]:
    """An augmented crop: image uint8 [crop, crop, 3] and masks uint8 [crop, crop, 5].

    ``bleeding``: the share of crops that get a large one painted in.
    """
    grid = sample.image.shape[0]
    half = crop / 2
    centre = _random_centre(grid, crop, rng)
    lesions = np.argwhere(sample.masks[:, :, 0] > 127)
    if len(lesions) and rng.random() < _LESION_BIAS:
        row, column = lesions[rng.integers(len(lesions))]
        centre = np.array([column, row]) + rng.uniform(-half * 0.7, half * 0.7, size=2)
    matrix = _random_affine(centre, crop, rng)
    image = _warp(sample.image, matrix, crop)
    masks = _warp_masks(sample.masks, matrix, crop)
    if rng.random() < bleeding:
        image, masks = paint_bleeding(image, masks, rng)
    return _recolour(image, rng), masks


def random_overview(
    samples: Sequence[Sample], first: int, *, crop: int, rng: np.random.Generator, bleeding: float = 0.0
) -> tuple[UInt8Array, UInt8Array]:
    """Whole photographs as the second look sees them, tiled: image uint8 [crop, crop, 3], masks uint8 [crop, crop, 5].

    The first is number ``first``, the others are drawn.
    """
    side = samples[first].image.shape[0] // COARSE
    across = crop // side
    chosen = [first, *rng.integers(len(samples), size=across**2 - 1)]
    tiles = [_random_tile(samples[index], side=side, rng=rng, bleeding=bleeding) for index in chosen]
    rows = [tiles[start : start + across] for start in range(0, len(tiles), across)]
    image, masks = (np.vstack([np.hstack([tile[part] for tile in row]) for row in rows]) for part in (0, 1))
    return image, masks


def _random_tile(
    sample: Sample, *, side: int, rng: np.random.Generator, bleeding: float
) -> tuple[UInt8Array, UInt8Array]:
    matrix = _random_affine(np.full(2, side / 2) + rng.uniform(-0.1, 0.1, size=2) * side, side, rng)
    image, masks = (
        _warp(_shrink(sample.image, side), matrix, side),
        _warp_masks(_shrink(sample.masks, side), matrix, side),
    )
    if rng.random() < bleeding:
        image, masks = paint_bleeding(image, masks, rng)
    return _recolour(image, rng), masks


def random_landmark_crop(
    sample: UnlabelledSample, *, crop: int, rng: np.random.Generator
) -> tuple[UInt8Array, UInt8Array]:
    """An augmented crop: image uint8 [crop, crop, 3] and heat maps uint8 [crop, crop, 2], 255 at disc and fovea."""
    matrix = _random_affine(_random_centre(sample.image.shape[0], crop, rng), crop, rng)
    image = _recolour(_warp(sample.image, matrix, crop), rng)
    points = np.column_stack([sample.landmarks, np.ones(2)]) @ matrix.T
    pixels = np.arange(crop)
    spread = 2 * (_HEAT_MAP_SIGMA * crop) ** 2
    across, down = (np.exp(-((pixels[:, np.newaxis] - points[:, axis]) ** 2) / spread) for axis in (0, 1))
    return image, np.round(255 * down[:, np.newaxis] * across[np.newaxis]).astype(np.uint8)


def random_view(image: UInt8Array, *, crop: int, rng: np.random.Generator) -> UInt8Array:
    """A strongly augmented crop for contrastive learning: also blur and grey, as in MoCo v2 (Chen et al., 2020)."""
    matrix = _random_affine(_random_centre(image.shape[0], crop, rng), crop, rng)
    view = _recolour(_warp(image, matrix, crop), rng, strength=2.0)
    if rng.random() < _BLUR_SHARE:
        view = cv2.GaussianBlur(view, (0, 0), rng.uniform(0.1, 2.0)).astype(np.uint8, copy=False)
    if rng.random() < _GREY_SHARE:
        view = np.repeat(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis], 3, axis=2).astype(np.uint8)
    return view


def _random_centre(grid: int, crop: int, rng: np.random.Generator) -> Float64Array:
    margin = min(crop * 0.35, grid / 2)
    return rng.uniform(margin, grid - margin, size=2)


def _random_affine(centre: Float64Array, crop: int, rng: np.random.Generator) -> Float64Array:
    """Affine [2, 3] from the model grid to a crop around ``centre``, at any angle, mirrored half of the time."""
    scale = np.exp(rng.uniform(*np.log(_SCALE)))
    angle = rng.uniform(0, 2 * np.pi)
    flip = rng.choice([-1.0, 1.0])
    linear = scale * np.array([[np.cos(angle) * flip, -np.sin(angle)], [np.sin(angle) * flip, np.cos(angle)]])
    return np.column_stack([linear, np.full(2, crop / 2) - linear @ centre])


def _warp(values: UInt8Array, matrix: Float64Array, crop: int) -> UInt8Array:
    return cv2.warpAffine(values, matrix, (crop, crop), flags=cv2.INTER_LINEAR).astype(np.uint8, copy=False)


def _warp_masks(masks: UInt8Array, matrix: Float64Array, crop: int) -> UInt8Array:
    lesions = _warp(masks[:, :, :4], matrix, crop)  # OpenCV warps at most four channels
    disc = _warp(masks[:, :, 4], matrix, crop)
    return np.dstack([lesions, disc]).astype(np.uint8, copy=False)


def _shrink(values: UInt8Array, side: int) -> UInt8Array:
    return cv2.resize(values, (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _recolour(image: UInt8Array, rng: np.random.Generator, *, strength: float = 1.0) -> UInt8Array:
    """Illumination and white balance: a gamma per image and a gain per channel, as one look-up table each."""
    gamma = np.exp(rng.normal(0, 0.15 * strength))
    gains = np.exp(rng.normal(0, 0.08 * strength, size=3)) * np.exp(rng.normal(0, 0.08 * strength))
    ramp = (np.arange(256)[:, np.newaxis] / 255) ** gamma * gains * 255
    table = np.clip(ramp + rng.normal(0, 4), 0, 255).astype(np.uint8)[np.newaxis]
    recoloured = cv2.LUT(image, table).astype(np.uint8, copy=False)
    recoloured[image.max(axis=2) == 0] = 0  # the dark frame stays black
    return recoloured
