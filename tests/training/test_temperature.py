"""The fitted temperature is the one that over-confident logits were multiplied by."""

import numpy as np
import pytest

from training.served_graph import sigmoid
from training.temperature import (
    TemperaturePoint,
    choose_temperature,
    likeliest_temperature,
    negative_log_likelihood,
)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    calibrated = np.random.default_rng(3).normal(-1, 2, size=5000).astype(np.float32)
    share = sigmoid(calibrated)
    assert likeliest_temperature(calibrated * np.float32(temperature), share) == pytest.approx(temperature, abs=0.02)


def test_likelihood_is_finite_for_extreme_logits() -> None:
    logits = np.array([-1e4, 1e4], np.float32)
    assert negative_log_likelihood(logits, np.array([0, 1], np.float32), 1.0) == 0.0
    assert negative_log_likelihood(logits, np.array([1, 0], np.float32), 1.0) == 1e4
    assert sigmoid(logits).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("losses", "chosen"), [((0.001, 0.001, 0.0), 1.2), ((0.009, 0.003, 0.0), 2.0), ((0.1,) * 3, 1.2)]
)
def test_the_lowest_temperature_that_eight_bits_bear_is_chosen(losses: tuple[float, ...], chosen: float) -> None:
    figures = zip((1.2, 2.0, 3.0), losses, strict=True)
    points = [TemperaturePoint(t, 0.0, 0.0, aupr_8bit=0.6 - loss, aupr_float=0.6) for t, loss in figures]
    points.append(TemperaturePoint(1.0, 0.0, 0.0, aupr_8bit=0.6, aupr_float=0.6))
    assert choose_temperature(points) == chosen
