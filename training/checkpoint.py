"""A run's state on disk, whole at any moment."""

import os
from pathlib import Path
from typing import Any

import torch

from training.errors import RunError

FILE_NAME = "checkpoint.pt"


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Replace the checkpoint in one step: a kill leaves the old one or the new one, never half of one."""
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's state on the CPU; keys ``step``, ``optimiser``, ``schedule`` and those of the run's task.

    Raises RunError when the file is missing or is none.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from error
    except Exception as error:  # torch raises many types on bytes that are no checkpoint; all mean the same here
        raise RunError(f"{path} is not a checkpoint of a run") from error
    return state
