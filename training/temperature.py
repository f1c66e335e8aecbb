"""The temperature that makes probabilities mean what they say, fitted on photographs that did not train."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segserve_server.imaging.metrics import LevelHistogram, average_precision
from training.idrid import LESIONS
from training.predictions import Examined, Float32Array
from training.samples import mask_on_grid
from training.served_graph import sigmoid

_LOWEST, _HIGHEST, _SEARCHES = 0.25, 16.0, 30
_GOLDEN = (5**0.5 - 1) / 2
TRIED = (1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0, 4.0)
MAXIMUM_LOSS = 0.005  # of AUPR, by eight bits on the model grid


@dataclass(frozen=True, slots=True)
class TemperaturePoint:
    """One temperature: mean negative log-likelihood per pixel, calibration error, AUPR in eight bits and in floats.

    On the model grid; AUPR against pixels that are annotated by half or more.
    """

    temperature: float
    negative_log_likelihood: float
    calibration_error: float
    aupr_8bit: float
    aupr_float: float


@dataclass(frozen=True, slots=True)
class TemperatureFit:
    """``likeliest``: the lowest negative log-likelihood; its figures come first in ``points``, then those of TRIED.

    ``chosen``: the likeliest or, where eight bits lose more than MAXIMUM_LOSS with it, the next of TRIED above it that
    lose less: faint pixels otherwise round to the same few levels.
    """

    likeliest: float
    chosen: float
    points: tuple[TemperaturePoint, ...]


def fit_temperature(examined: Sequence[Examined]) -> TemperatureFit:
    """Minimise the negative log-likelihood over all pixels of the model grid, as far as eight bits allow.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """
    logits = np.concatenate([one.logits.ravel() for one in examined])
    masks = [mask_on_grid(one.photograph, LESIONS[0], one.prediction.geometry).ravel() for one in examined]
    share = np.concatenate(masks).astype(np.float32)
    share /= 255
    best = likeliest_temperature(logits, share)
    points = tuple(_measure(logits, share, t) for t in (best, *TRIED))
    return TemperatureFit(best, choose_temperature(points), points)


def choose_temperature(points: Sequence[TemperaturePoint]) -> float:
    """See TemperatureFit; ``points``: the likeliest first. The likeliest where none loses little enough."""
    likeliest = points[0].temperature
    faithful = [p.temperature for p in points if p.aupr_float - p.aupr_8bit <= MAXIMUM_LOSS]
    return min((t for t in faithful if t >= likeliest), default=likeliest)


def likeliest_temperature(logits: Float32Array, share: Float32Array) -> float:
    """The temperature with the lowest ``negative_log_likelihood``, to two decimals; golden section on its log."""
    low, high = np.log(_LOWEST), np.log(_HIGHEST)
    for _ in range(_SEARCHES):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if negative_log_likelihood(logits, share, np.exp(left)) < negative_log_likelihood(logits, share, np.exp(right)):
            high = right
        else:
            low = left
    return round(float(np.exp((low + high) / 2)), 2)


def negative_log_likelihood(logits: Float32Array, share: Float32Array, temperature: float) -> float:
    """Mean binary cross-entropy of sigmoid(logits / temperature) against an annotated share, 0 to 1, per pixel."""
    scaled = logits / np.float32(temperature)
    return float(np.mean(np.logaddexp(np.float32(0), scaled) - share * scaled, dtype=np.float64))


def _measure(logits: Float32Array, share: Float32Array, temperature: float) -> TemperaturePoint:
    probability = sigmoid(logits / np.float32(temperature))
    truth = share >= 0.5
    histogram = LevelHistogram.of(np.round(probability * 255).astype(np.uint8), truth)
    return TemperaturePoint(
        temperature=temperature,
        negative_log_likelihood=negative_log_likelihood(logits, share, temperature),
        calibration_error=histogram.expected_calibration_error(),
        aupr_8bit=histogram.average_precision(),
        aupr_float=average_precision([(logits, truth)]),
    )
