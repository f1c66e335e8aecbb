"""Losses for rare, small lesions beside a reconstruction of the input and the heat maps of two landmarks."""

import torch
from torch import Tensor
from torch.nn import functional

from training.config import LossConfig
from training.idrid import DISC, LESIONS
from training.network import RECONSTRUCTION_CHANNELS

_SMOOTH = 1.0
_FIRST_LANDMARK = len(LESIONS) + RECONSTRUCTION_CHANNELS


def segmentation_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy plus soft Dice over the batch; logits and targets [N, H, W], targets in 0 to 1.

    Dice over the batch, not per crop, because many crops hold no lesion. Source: Milletari et al., V-Net, 2016.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, targets)
    probability = logits.sigmoid()
    overlap = 2 * (probability * targets).sum() + _SMOOTH
    dice = 1 - overlap / ((probability**2).sum() + (targets**2).sum() + _SMOOTH)
    return 5 * entropy + dice


def multitask_loss(logits: Tensor, masks: Tensor, images: Tensor, config: LossConfig) -> Tensor:
    """Served class + auxiliary classes + reconstruction, for crops with masks and, after them, of healthy eyes.

    ``logits``: [N, C, H, W] in the network's order; ``images``: [N, 3, H, W], the input; ``masks``: [M, 5, H, W] of the
    first M crops. The others have no lesion; where their optic disc lies is not known.
    """
    healthy = masks.new_zeros((len(images) - len(masks), *masks.shape[1:]))
    targets = torch.cat([masks, healthy])
    served = segmentation_loss(logits[:, 0], targets[:, 0])
    known = {index: len(masks) if lesion == DISC else len(images) for index, lesion in enumerate(LESIONS)}
    auxiliary = torch.stack(
        [segmentation_loss(logits[: known[i], i], targets[: known[i], i]) for i in range(1, len(LESIONS))]
    ).mean()
    return served + config.auxiliary * auxiliary + config.reconstruction * reconstruction_loss(logits, images)


def unlabelled_loss(logits: Tensor, heat_maps: Tensor, images: Tensor, config: LossConfig) -> Tensor:
    """Reconstruction and, where the network has them, landmarks, for crops without masks.

    ``heat_maps``: [N, 2, H, W] in 0 to 1, the target of a binary cross-entropy.
    """
    loss = config.reconstruction * reconstruction_loss(logits, images)
    if logits.shape[1] > _FIRST_LANDMARK:
        found = functional.binary_cross_entropy_with_logits(logits[:, _FIRST_LANDMARK:], heat_maps)
        loss = loss + config.landmarks * found
    return loss


def reconstruction_loss(logits: Tensor, images: Tensor) -> Tensor:
    """Mean absolute difference between the reconstruction channels and the normalised input."""
    return functional.l1_loss(logits[:, len(LESIONS) : _FIRST_LANDMARK], images)
