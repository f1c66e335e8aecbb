"""The photographs of a load."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from loadtest.errors import LoadTestError
from loadtest.photographs import EXAMPLES, SizeClass, load_mixture, load_photographs


@pytest.mark.parametrize("size", SizeClass)
def test_photographs_have_the_size_they_are_asked_for_in(size: SizeClass) -> None:
    for encoded in load_photographs(size):
        pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
        assert pixels is not None
        assert pixels.shape == (size.height, size.width, 3)


def test_full_size_files_are_sent_as_they_are() -> None:
    files = {path.read_bytes() for path in EXAMPLES.glob("*.jpg")}
    assert set(load_photographs(SizeClass.FULL)) <= files


def test_a_mixture_takes_sizes_in_turn() -> None:
    first = load_mixture()[: len(SizeClass)]
    assert first == [load_photographs(size)[0] for size in SizeClass]


def test_a_folder_without_photographs_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LoadTestError, match="restore examples"):
        load_photographs(SizeClass.FULL, tmp_path)
