"""The temperature that makes probabilities mean what they say, fitted on photographs that did not train."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segserve_server.imaging.metrics import LevelHistogram, average_precision
from training.idrid import LESIONS, AnnotatedPhotograph
from training.predictions import Float32Array, Prediction
from training.samples import mask_on_grid
from training.served_graph import ReferenceEngine, sigmoid

_LOWEST, _HIGHEST, _SEARCHES = 0.25, 16.0, 30
_GOLDEN = (5**0.5 - 1) / 2
TRIED = (1.0, 1.5, 2.0, 3.0, 4.0)


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
    """The likeliest temperature and, for comparison, TRIED; the fitted one comes first."""

    temperature: float
    points: tuple[TemperaturePoint, ...]


def fit_temperature(
    photographs: Sequence[AnnotatedPhotograph], predictions: Sequence[Prediction], reference: ReferenceEngine
) -> TemperatureFit:
    """Minimise the negative log-likelihood over all pixels of the model grid.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
    """
    logits = np.concatenate([reference.logits(p.image)[0].ravel() for p in predictions])
    share = np.concatenate(
        [
            mask_on_grid(photograph, LESIONS[0], prediction.geometry).ravel()
            for photograph, prediction in zip(photographs, predictions, strict=True)
        ]
    ).astype(np.float32)
    share /= 255
    best = likeliest_temperature(logits, share)
    return TemperatureFit(best, tuple(_measure(logits, share, t) for t in (best, *TRIED)))


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
