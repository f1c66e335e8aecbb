"""``python -m training pseudo-label``: masks that trained networks draw for photographs that nobody has annotated.

What a network sees in several views of a photograph teaches the next one to see it in one view. Source: Xie et al.,
Self-training with Noisy Student improves ImageNet classification, CVPR 2020.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from segserve_server.imaging.decode import UInt8Array
from segserve_server.imaging.pipeline import preprocess
from segserve_server.imaging.settings import PreprocessSettings
from training.batches import to_network_input
from training.config import COARSE, ServedConfig, TrainConfig
from training.errors import RunError
from training.idrid import LESIONS, list_unannotated
from training.loop import autocast
from training.network import load_trained, upsample, weigh_second_look
from training.samples import pseudo_label_path
from training.workers import join_workers

_MIRRORED: tuple[tuple[int, ...], ...] = ((), (3,), (2,), (2, 3))
"""Dimensions to mirror: the photograph as it is, left for right, upside down, both."""


def pseudo_label(config: TrainConfig, checkpoints: Sequence[Path], *, data: Path, output: Path, views: int = 2) -> int:
    """Draw the masks of ``list_unannotated`` into ``output``, but those that it has; how many there are.

    The mean over networks and views is stored as ``pseudo_label_path`` says. Each network looks twice, as the exported
    graph does (ServedConfig). Networks that never saw a fold's photographs make masks that the fold may learn from.

    Raises RunError for a checkpoint that does not fit ``config``.
    """
    if not 1 <= views <= len(_MIRRORED):
        raise RunError(f"views must be 1 to {len(_MIRRORED)}, not {views}")
    settings = PreprocessSettings(grid=config.data.grid)
    photographs = list_unannotated(data)
    with join_workers() as worker:
        teachers = [load_trained(path, config)[0].to(worker.device) for path in checkpoints]
        mine = photographs[worker.rank :: worker.count]
        for photograph in tqdm(mine, desc="pseudo-label", unit="photo", disable=None if worker.leads else True):
            paths = [pseudo_label_path(output, lesion, photograph.stem) for lesion in LESIONS]
            if all(path.exists() for path in paths):
                continue
            pixels = preprocess(photograph.image.read_bytes(), settings).pixels
            image = to_network_input(pixels[np.newaxis]).to(worker.device)
            masks = _draw(teachers, image, served=config.served, views=views)
            for path, mask in zip(paths, masks, strict=True):
                _write(path, mask)
    return len(photographs)


@torch.inference_mode()
def _draw(teachers: Sequence[nn.Module], image: Tensor, *, served: ServedConfig, views: int) -> UInt8Array:
    """Mean probability x 255, uint8 [5, grid, grid], of one image [1, 3, grid, grid]."""
    total = torch.zeros((len(LESIONS), *image.shape[2:]), device=image.device)
    for network in teachers:
        for dimensions in _MIRRORED[:views]:
            total += _look(network, image.flip(dimensions), served).flip(dimensions)[0].sigmoid()
    mean: UInt8Array = (total / (len(teachers) * views) * 255).round().byte().cpu().numpy()
    return mean


def _look(network: nn.Module, image: Tensor, served: ServedConfig) -> Tensor:
    """Logits of the annotated structures [1, 5, grid, grid]; the second look adds to the served one only."""
    with autocast(image.device):
        logits = network(image)[:, : len(LESIONS)].float()
        if served.coarse:
            small = network(functional.avg_pool2d(image, COARSE))[:, :1].float()
            logits[:, :1] += upsample(upsample(weigh_second_look(small, served)))
    return upsample(logits)


def _write(path: Path, mask: UInt8Array) -> None:
    """In one move, so that a killed run leaves whole files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp.png")
    cv2.imwrite(str(temporary), mask)
    temporary.replace(path)
