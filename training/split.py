"""Which annotated photographs train and which are held out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from training.config import DataConfig
from training.errors import ConfigError
from training.idrid import GradedPhotograph


@dataclass(frozen=True, slots=True)
class Split:
    """Stems on either side, in the order given."""

    training: tuple[str, ...]
    validation: tuple[str, ...]


def split_stems(stems: Sequence[str], config: DataConfig, *, fold: int | None = None) -> Split:
    """Draw the split once by ``config.split_seed``: ``validation_count`` photographs, or fold 1 to ``folds``.

    The folds cover every photograph once. Raises ConfigError for a fold that does not exist.
    """
    order = np.random.default_rng(config.split_seed).permutation(len(stems))
    if fold is None:
        chosen = order[: config.validation_count]
    elif 1 <= fold <= config.folds:
        chosen = order[fold - 1 :: config.folds]
    else:
        raise ConfigError(f"fold {fold} does not exist: folds are 1 to {config.folds}")
    held_out = {stems[i] for i in chosen}
    others = [stems[i] for i in order if stems[i] not in held_out]
    training = set(others[: config.training_count or None])
    return Split(tuple(s for s in stems if s in training), tuple(s for s in stems if s in held_out))


def split_healthy(photographs: Iterable[GradedPhotograph], config: DataConfig) -> Split:
    """Halve the photographs graded 0 by ``config.split_seed``: those that may train, and those that only check."""
    stems = [p.stem for p in photographs if p.grade == 0]
    order = np.random.default_rng(config.split_seed).permutation(len(stems))
    checking = {stems[i] for i in order[::2]}
    return Split(tuple(s for s in stems if s not in checking), tuple(s for s in stems if s in checking))
