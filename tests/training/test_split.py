"""Splits are drawn once by their seed, and folds cover every photograph."""

import dataclasses
from pathlib import Path

import pytest

from training.config import DataConfig
from training.errors import ConfigError
from training.idrid import GradedPhotograph
from training.split import split_healthy, split_stems

STEMS = [f"P_{i}" for i in range(11)]


def test_folds_hold_out_every_photograph_once() -> None:
    splits = [split_stems(STEMS, DataConfig(), fold=fold) for fold in (1, 2, 3)]
    assert sorted(stem for split in splits for stem in split.validation) == sorted(STEMS)
    for split in splits:
        assert sorted(split.training + split.validation) == sorted(STEMS)
        assert len(split.validation) in (3, 4)


def test_the_seed_alone_decides_the_split() -> None:
    config = DataConfig(validation_count=4)
    assert split_stems(STEMS, config) == split_stems(list(STEMS), config)
    assert split_stems(STEMS, config) != split_stems(STEMS, dataclasses.replace(config, split_seed=1))
    assert len(split_stems(STEMS, config).validation) == 4


def test_nothing_held_out_trains_on_all() -> None:
    assert split_stems(STEMS, DataConfig(validation_count=0)).training == tuple(STEMS)


@pytest.mark.parametrize("fold", [0, 4])
def test_a_fold_that_does_not_exist_is_refused(fold: int) -> None:
    with pytest.raises(ConfigError, match="folds are 1 to 3"):
        split_stems(STEMS, DataConfig(), fold=fold)


def test_half_of_the_healthy_photographs_only_check() -> None:
    graded = [GradedPhotograph(f"G_{i}", Path(), i % 2, (0, 0), (0, 0), "") for i in range(12)]
    halves = split_healthy(graded, DataConfig())
    assert len(halves.training) == len(halves.validation) == 3
    assert set(halves.training + halves.validation) == {f"G_{i}" for i in range(0, 12, 2)}
    assert halves == split_healthy(graded, DataConfig())


def test_fewer_labels_are_a_part_of_more() -> None:
    few, more = (split_stems(STEMS, DataConfig(training_count=count), fold=1) for count in (2, 5))
    assert few.validation == more.validation
    assert (len(few.training), len(more.training)) == (2, 5)
    assert set(few.training) < set(more.training)
