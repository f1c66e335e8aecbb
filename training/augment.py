"""Random crops of a photograph on the model grid, turned, scaled and recoloured as fundus cameras differ."""

import cv2
import numpy as np

from training.idrid import Sample, UInt8Array

_LESION_BIAS = 0.6  # share of crops centred near a haemorrhage, where the photograph has one
_SCALE = (0.8, 1.25)


def random_crop(sample: Sample, *, crop: int, rng: np.random.Generator) -> tuple[UInt8Array, UInt8Array]:
    """An augmented crop: image uint8 [crop, crop, 3] and masks uint8 [crop, crop, 5]."""
    grid = sample.image.shape[0]
    half = crop / 2
    centre = rng.uniform(half * 0.7, grid - half * 0.7, size=2)
    lesions = np.argwhere(sample.masks[:, :, 0] > 127)
    if len(lesions) and rng.random() < _LESION_BIAS:
        row, column = lesions[rng.integers(len(lesions))]
        centre = np.array([column, row]) + rng.uniform(-half * 0.7, half * 0.7, size=2)
    scale = np.exp(rng.uniform(*np.log(_SCALE)))
    angle = rng.uniform(0, 2 * np.pi)
    flip = rng.choice([-1.0, 1.0])
    linear = scale * np.array([[np.cos(angle) * flip, -np.sin(angle)], [np.sin(angle) * flip, np.cos(angle)]])
    matrix = np.column_stack([linear, np.array([half, half]) - linear @ centre])
    image = cv2.warpAffine(sample.image, matrix, (crop, crop), flags=cv2.INTER_LINEAR)
    masks = cv2.warpAffine(sample.masks[:, :, :4], matrix, (crop, crop), flags=cv2.INTER_LINEAR)
    disc = cv2.warpAffine(sample.masks[:, :, 4], matrix, (crop, crop), flags=cv2.INTER_LINEAR)
    return _recolour(image.astype(np.uint8, copy=False), rng), np.dstack([masks, disc]).astype(np.uint8, copy=False)


def _recolour(image: UInt8Array, rng: np.random.Generator) -> UInt8Array:
    """Illumination and white balance: a gamma per image and a gain per channel, as one look-up table each."""
    gamma = np.exp(rng.normal(0, 0.15))
    gains = np.exp(rng.normal(0, 0.08, size=3)) * np.exp(rng.normal(0, 0.08))
    ramp = (np.arange(256)[:, np.newaxis] / 255) ** gamma * gains * 255
    table = np.clip(ramp + rng.normal(0, 4), 0, 255).astype(np.uint8)[np.newaxis]
    recoloured = cv2.LUT(image, table).astype(np.uint8, copy=False)
    recoloured[image.max(axis=2) == 0] = 0  # the dark frame stays black
    return recoloured
