"""What healthy and unlabelled photographs teach, and what they must not."""

import pytest
import torch

from training.config import LossConfig
from training.idrid import DISC, LESIONS
from training.losses import multitask_loss, segmentation_loss, unlabelled_loss

SIZE = 8
CONFIG = LossConfig()


def _batch(count: int, *, channels: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn((count, channels, SIZE, SIZE), generator=generator)
    return logits, torch.randn((count, 3, SIZE, SIZE), generator=generator)


def test_a_perfect_answer_costs_less_than_a_wrong_one() -> None:
    target = torch.zeros((1, SIZE, SIZE))
    target[0, 2:5, 2:5] = 1
    right, wrong = (segmentation_loss(sign * (target * 20 - 10), target) for sign in (1, -1))
    assert right < 0.01 < 1 < wrong


def test_a_mark_in_a_healthy_photograph_costs() -> None:
    logits, images = _batch(2)
    masks = torch.zeros((1, len(LESIONS), SIZE, SIZE))
    marked = logits.clone()
    marked[1, 0] += 5
    assert multitask_loss(marked, masks, images, CONFIG) > multitask_loss(logits, masks, images, CONFIG)


def test_the_optic_disc_of_a_healthy_photograph_is_not_judged() -> None:
    logits, images = _batch(2)
    masks = torch.zeros((1, len(LESIONS), SIZE, SIZE))
    marked = logits.clone()
    marked[1, LESIONS.index(DISC)] += 5
    assert multitask_loss(marked, masks, images, CONFIG) == multitask_loss(logits, masks, images, CONFIG)


@pytest.mark.parametrize(("channels", "judged"), [(8, False), (10, True)])
def test_landmarks_are_judged_where_the_network_has_them(channels: int, judged: bool) -> None:
    logits, images = _batch(1, channels=channels)
    here, there = torch.zeros((1, 2, SIZE, SIZE)), torch.ones((1, 2, SIZE, SIZE))
    losses = [unlabelled_loss(logits, heat, images, CONFIG) for heat in (here, there)]
    assert (losses[0] != losses[1]) == judged
