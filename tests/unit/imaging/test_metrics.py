"""Metrics agree with scikit-learn where it has them, and with counting by hand where it has not."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, jaccard_score  # type: ignore[import-untyped]

from segserve_server.imaging.metrics import (
    LesionCounts,
    LevelHistogram,
    Overlap,
    ReliabilityBin,
    average_precision,
    count_lesions,
)

BoolArray = npt.NDArray[np.bool_]


def _pixels(seed: int, size: int) -> tuple[npt.NDArray[np.float32], BoolArray]:
    rng = np.random.default_rng(seed)
    truth = rng.random(size) < 0.2
    truth[0] = True
    scores = np.clip(rng.normal(np.where(truth, 0.5, 0.3), 0.2), 0, 1).astype(np.float32)
    return scores, truth


@given(seed=st.integers(0, 10_000), size=st.integers(2, 400))
def test_average_precision_of_floats_is_scikit_learns(seed: int, size: int) -> None:
    scores, truth = _pixels(seed, size)
    half = size // 2
    parts = [(scores[:half], truth[:half]), (scores[half:], truth[half:])]
    assert average_precision(parts) == pytest.approx(average_precision_score(truth, scores), abs=1e-12)


@given(seed=st.integers(0, 10_000), size=st.integers(2, 400))
def test_average_precision_of_levels_is_scikit_learns_and_adds_up(seed: int, size: int) -> None:
    scores, truth = _pixels(seed, size)
    levels = np.round(scores * 255).astype(np.uint8)
    half = size // 2
    histogram = LevelHistogram.of(levels[:half], truth[:half]) + LevelHistogram.of(levels[half:], truth[half:])
    assert histogram.average_precision() == pytest.approx(average_precision_score(truth, levels), abs=1e-12)


def test_average_precision_of_ties_counts_them_together() -> None:
    scores = np.full(10, 0.5, np.float32)
    truth = np.arange(10) < 3
    assert average_precision([(scores, truth)]) == pytest.approx(0.3)


def test_average_precision_without_annotation_is_not_a_number() -> None:
    nothing = np.zeros(4, np.bool_)
    assert math.isnan(average_precision([(np.zeros(4, np.float32), nothing)]))
    assert math.isnan(average_precision([]))
    assert math.isnan(LevelHistogram.empty().average_precision())


@given(seed=st.integers(0, 10_000), level=st.integers(1, 255))
def test_overlap_at_a_level_is_scikit_learns(seed: int, level: int) -> None:
    scores, truth = _pixels(seed, 300)
    levels = np.round(scores * 255).astype(np.uint8)
    predicted = levels >= level
    overlap = Overlap.of(predicted, truth)
    assert LevelHistogram.of(levels, truth).overlap(level) == overlap
    assert overlap.dice == pytest.approx(f1_score(truth, predicted, zero_division=0))
    assert overlap.iou == pytest.approx(jaccard_score(truth, predicted, zero_division=0))


def test_two_empty_masks_agree() -> None:
    empty = Overlap.of(np.zeros((3, 3), np.bool_), np.zeros((3, 3), np.bool_))
    assert (empty.dice, empty.iou) == (1.0, 1.0)


def test_overlaps_add_up() -> None:
    assert Overlap(1, 2, 3) + Overlap(10, 20, 30) == Overlap(11, 22, 33)


def _mask(*rows: str) -> BoolArray:
    return np.array([[character == "#" for character in row] for row in rows])


def test_lesions_match_by_any_common_pixel() -> None:
    truth = _mask(
        "##....#.",
        "##......",
        "......##",
        "#.......",
    )
    predicted = _mask(
        ".##.....",
        "........",
        "......##",
        "...#....",
    )
    assert count_lesions(predicted, truth) == LesionCounts(annotated=4, found=2, reported=3, false=1)


def test_one_reported_lesion_may_find_several() -> None:
    truth = _mask("#.#.#")
    assert count_lesions(_mask("#####"), truth) == LesionCounts(annotated=3, found=3, reported=1, false=0)


def test_lesions_that_touch_at_a_corner_are_one() -> None:
    assert count_lesions(_mask("#.", ".#"), _mask("..", "..")) == LesionCounts(0, 0, reported=1, false=1)


def test_sensitivity_without_annotated_lesions_is_not_a_number() -> None:
    counts = LesionCounts(annotated=0, reported=2, false=2) + LesionCounts()
    assert math.isnan(counts.sensitivity)
    assert (LesionCounts(annotated=3, found=1) + LesionCounts(annotated=1, found=1)).sensitivity == 0.5


def test_reliability_bins_hold_what_was_predicted_and_what_was_there() -> None:
    levels = np.array([0, 0, 0, 0, 51, 255, 255], np.uint8)
    truth = np.array([0, 0, 0, 1, 0, 1, 0], np.bool_)
    histogram = LevelHistogram.of(levels, truth)
    assert histogram.reliability(bins=5) == (
        ReliabilityBin(0.0, 0.2, 4, 0.0, 0.25),
        ReliabilityBin(0.2, 0.4, 1, 51 / 255, 0.0),
        ReliabilityBin(0.8, 1.0, 2, 1.0, 0.5),
    )
    assert histogram.expected_calibration_error(bins=5) == pytest.approx((4 * 0.25 + 1 * 0.2 + 2 * 0.5) / 7)


def test_calibrated_pixels_have_no_calibration_error() -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8), 255)
    truth = np.concatenate([np.arange(255) < level for level in range(256)])
    assert LevelHistogram.of(levels, truth).expected_calibration_error() == pytest.approx(0, abs=1e-12)
    assert LevelHistogram.empty().expected_calibration_error() == 0.0
