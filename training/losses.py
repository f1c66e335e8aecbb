"""Losses for rare, small lesions beside a reconstruction of the input."""

import torch
from torch import Tensor
from torch.nn import functional

from training.config import LossConfig
from training.idrid import LESIONS

_SMOOTH = 1.0


def segmentation_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy plus soft Dice over the batch; logits and targets [N, H, W], targets in 0 to 1.

    Dice over the batch, not per crop, because many crops hold no lesion. Source: Milletari et al., V-Net, 2016.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, targets)
    probability = logits.sigmoid()
    overlap = 2 * (probability * targets).sum() + _SMOOTH
    dice = 1 - overlap / ((probability**2).sum() + (targets**2).sum() + _SMOOTH)
    return 5 * entropy + dice


def multitask_loss(logits: Tensor, targets: Tensor, images: Tensor, config: LossConfig) -> Tensor:
    """Served class + auxiliary classes + reconstruction.

    ``logits``: [N, 5 + 3, H, W]; ``targets``: [N, 5, H, W]; ``images``: [N, 3, H, W], the normalised input.
    """
    classes = len(LESIONS)
    loss = segmentation_loss(logits[:, 0], targets[:, 0])
    auxiliary = torch.stack([segmentation_loss(logits[:, i], targets[:, i]) for i in range(1, classes)]).mean()
    reconstruction = functional.l1_loss(logits[:, classes:], images)
    return loss + config.auxiliary * auxiliary + config.reconstruction * reconstruction
