"""``python -m training average``: one network whose weights are the mean of several trained from the same start.

It examines like the ensemble of them, in one pass. Source: Wortsman et al., Model soups, ICML 2022.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from training.checkpoint import load_checkpoint, save_checkpoint
from training.errors import RunError


def average_checkpoints(checkpoints: Sequence[Path], output: Path) -> None:
    """Write a checkpoint to export, or to start from, whose averaged weights are the mean of theirs.

    Raises RunError for fewer than two checkpoints, and for networks that differ in shape.
    """
    if len(checkpoints) < 2:
        raise RunError("an average takes two checkpoints or more")
    states = [load_checkpoint(path) for path in checkpoints]
    averages = [state.get("average", {}) for state in states]
    shapes = [{name: tensor.shape for name, tensor in average.items()} for average in averages]
    for path, shape in zip(checkpoints, shapes, strict=True):
        if not shape or shape != shapes[0]:
            raise RunError(f"{path} is not a checkpoint of the same network as {checkpoints[0]}")
    mean = {name: _mean([average[name] for average in averages]) for name in averages[0]}
    output.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(output, {"average": mean, "step": states[-1]["step"]})


def _mean(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    """Of weights; counters are those of the last checkpoint."""
    if not tensors[-1].is_floating_point():
        return tensors[-1]
    return torch.stack(list(tensors)).mean(dim=0)
