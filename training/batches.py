"""Crops of photographs, stacked into the tensors that a step reads. Each crop has a seed of its own."""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from segserve_server.imaging.decode import UInt8Array
from training.augment import random_crop, random_landmark_crop, random_overview, random_view
from training.config import AugmentConfig, OptimiserConfig
from training.idrid import LANDMARKS, LESIONS
from training.samples import Sample, UnlabelledSample
from training.workers import Worker

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Source(IntEnum):
    """Which photographs a crop comes from, and part of what it is drawn by: no number changes, or runs do."""

    ANNOTATED = 0
    UNLABELLED = 1
    CONTRASTIVE = 2
    HEALTHY = 3
    PSEUDO_LABELLED = 4
    OVERVIEW = 5


def to_network_input(images: UInt8Array) -> Tensor:
    """uint8 [N, H, W, 3] RGB to the normalised float [N, 3, H, W] that the network reads."""
    tensor = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return ((tensor - mean) / std).contiguous(memory_format=torch.channels_last)


def to_targets(targets: UInt8Array) -> Tensor:
    """uint8 [N, H, W, C], 255 x share, to float [N, C, H, W] in 0 to 1."""
    return torch.from_numpy(targets).permute(0, 3, 1, 2).float() / 255


def labelled_batch(
    samples: Sequence[Sample],
    config: OptimiserConfig,
    augment: AugmentConfig,
    *,
    size: int,
    step: int,
    worker: Worker,
    source: Source = Source.ANNOTATED,
) -> tuple[Tensor, Tensor]:
    """This worker's crops of a step: images [n, 3, crop, crop] and masks [n, 5, crop, crop]."""
    pairs = [
        random_crop(samples[index], crop=config.crop, rng=rng, bleeding=augment.bleeding)
        for index, rng in _draw(len(samples), size, (config.seed, step, source), worker)
    ]
    return _stack_pairs(pairs, config)


def overview_batch(
    samples: Sequence[Sample], config: OptimiserConfig, augment: AugmentConfig, *, size: int, step: int, worker: Worker
) -> tuple[Tensor, Tensor]:
    """As ``labelled_batch``, each a mosaic of whole photographs at the resolution of the second look."""
    drawn = _draw(len(samples), size, (config.seed, step, Source.OVERVIEW), worker)
    pairs = [
        random_overview(samples, index, crop=config.crop, rng=rng, bleeding=augment.bleeding) for index, rng in drawn
    ]
    return _stack_pairs(pairs, config)


def healthy_batch(
    samples: Sequence[UnlabelledSample], config: OptimiserConfig, *, size: int, step: int, worker: Worker
) -> Tensor:
    """This worker's crops of photographs without any lesion: images [n, 3, crop, crop]."""
    drawn = _draw(len(samples), size, (config.seed, step, Source.HEALTHY), worker)
    crops = [random_landmark_crop(samples[index], crop=config.crop, rng=rng)[0] for index, rng in drawn]
    return to_network_input(np.array(crops, np.uint8).reshape(-1, config.crop, config.crop, 3))


def unlabelled_batch(
    samples: Sequence[UnlabelledSample], config: OptimiserConfig, *, size: int, step: int, worker: Worker
) -> tuple[Tensor, Tensor]:
    """This worker's crops without masks: images [n, 3, crop, crop] and heat maps [n, 2, crop, crop]."""
    pairs = [
        random_landmark_crop(samples[index], crop=config.crop, rng=rng)
        for index, rng in _draw(len(samples), size, (config.seed, step, Source.UNLABELLED), worker)
    ]
    return _stack_pairs(pairs, config, depth=len(LANDMARKS))


def contrastive_batch(
    samples: Sequence[UnlabelledSample], config: OptimiserConfig, *, step: int, worker: Worker
) -> tuple[Tensor, Tensor]:
    """Two views of each of this worker's photographs of a step, each [n, 3, crop, crop]."""
    views = [
        [random_view(samples[index].image, crop=config.crop, rng=rng) for _ in range(2)]
        for index, rng in _draw(len(samples), config.batch, (config.seed, step, Source.CONTRASTIVE), worker)
    ]
    first, second = (to_network_input(np.stack([pair[side] for pair in views])) for side in (0, 1))
    return first, second


def _stack_pairs(
    pairs: Sequence[tuple[UInt8Array, UInt8Array]], config: OptimiserConfig, *, depth: int = len(LESIONS)
) -> tuple[Tensor, Tensor]:
    """Images and their targets as tensors, also where there are none."""
    images = np.array([image for image, _ in pairs], np.uint8).reshape(-1, config.crop, config.crop, 3)
    targets = np.array([target for _, target in pairs], np.uint8).reshape(-1, config.crop, config.crop, depth)
    return to_network_input(images), to_targets(targets)


def _draw(count: int, size: int, seed: tuple[int, int, int], worker: Worker) -> list[tuple[int, np.random.Generator]]:
    """Which photographs a step shows, and a generator for each crop; the worker's share of them."""
    if size == 0:
        return []
    chosen = np.random.default_rng(seed).choice(count, size=size, replace=count < size)
    everyone = [(int(index), np.random.default_rng((*seed, slot))) for slot, index in enumerate(chosen)]
    return everyone[worker.rank :: worker.count]
