"""Crops of photographs, stacked into the tensors that a step reads. Each crop has a seed of its own."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from segserve_server.imaging.decode import UInt8Array
from training.augment import random_crop, random_landmark_crop, random_view
from training.config import OptimiserConfig
from training.samples import Sample, UnlabelledSample
from training.workers import Worker

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_LABELLED, _UNLABELLED, _CONTRASTIVE, _HEALTHY = range(4)


def to_network_input(images: UInt8Array) -> Tensor:
    """uint8 [N, H, W, 3] RGB to the normalised float [N, 3, H, W] that the network reads."""
    tensor = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    return ((tensor - mean) / std).contiguous(memory_format=torch.channels_last)


def to_targets(targets: UInt8Array) -> Tensor:
    """uint8 [N, H, W, C], 255 x share, to float [N, C, H, W] in 0 to 1."""
    return torch.from_numpy(targets).permute(0, 3, 1, 2).float() / 255


def labelled_batch(
    samples: Sequence[Sample], config: OptimiserConfig, *, step: int, worker: Worker
) -> tuple[Tensor, Tensor]:
    """This worker's crops of a step: images [n, 3, crop, crop] and masks [n, 5, crop, crop]."""
    pairs = [
        random_crop(samples[index], crop=config.crop, rng=rng)
        for index, rng in _draw(len(samples), config.batch, (config.seed, step, _LABELLED), worker)
    ]
    return to_network_input(np.stack([image for image, _ in pairs])), to_targets(np.stack([m for _, m in pairs]))


def healthy_batch(
    samples: Sequence[UnlabelledSample], config: OptimiserConfig, *, size: int, step: int, worker: Worker
) -> Tensor:
    """This worker's crops of photographs without any lesion: images [n, 3, crop, crop]."""
    drawn = _draw(len(samples), size, (config.seed, step, _HEALTHY), worker)
    crops = [random_landmark_crop(samples[index], crop=config.crop, rng=rng)[0] for index, rng in drawn]
    return to_network_input(np.array(crops, np.uint8).reshape(-1, config.crop, config.crop, 3))


def unlabelled_batch(
    samples: Sequence[UnlabelledSample], config: OptimiserConfig, *, size: int, step: int, worker: Worker
) -> tuple[Tensor, Tensor]:
    """This worker's crops without masks: images [n, 3, crop, crop] and heat maps [n, 2, crop, crop]."""
    pairs = [
        random_landmark_crop(samples[index], crop=config.crop, rng=rng)
        for index, rng in _draw(len(samples), size, (config.seed, step, _UNLABELLED), worker)
    ]
    images = np.array([image for image, _ in pairs], np.uint8).reshape(-1, config.crop, config.crop, 3)
    heat_maps = np.array([heat for _, heat in pairs], np.uint8).reshape(-1, config.crop, config.crop, 2)
    return to_network_input(images), to_targets(heat_maps)


def contrastive_batch(
    samples: Sequence[UnlabelledSample], config: OptimiserConfig, *, step: int, worker: Worker
) -> tuple[Tensor, Tensor]:
    """Two views of each of this worker's photographs of a step, each [n, 3, crop, crop]."""
    views = [
        [random_view(samples[index].image, crop=config.crop, rng=rng) for _ in range(2)]
        for index, rng in _draw(len(samples), config.batch, (config.seed, step, _CONTRASTIVE), worker)
    ]
    first, second = (to_network_input(np.stack([pair[side] for pair in views])) for side in (0, 1))
    return first, second


def _draw(count: int, size: int, seed: tuple[int, int, int], worker: Worker) -> list[tuple[int, np.random.Generator]]:
    """Which photographs a step shows, and a generator for each crop; the worker's share of them."""
    if size == 0:
        return []
    chosen = np.random.default_rng(seed).choice(count, size=size, replace=count < size)
    everyone = [(int(index), np.random.default_rng((*seed, slot))) for slot, index in enumerate(chosen)]
    return everyone[worker.rank :: worker.count]
