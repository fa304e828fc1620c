"""How far a classifier's probabilities can be believed: temperature scaling, calibration error.

A network that was trained to be right is surer than it is right. One number mends most of that:
the softmax of ``logits / T``, where T minimises the negative log-likelihood of labelled pictures
that the network was not trained on.
Source: C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError
from edgevit.inference.answers import softmax

UNSURE_BELOW = 0.5  # of the likeliest class, where nobody says another threshold
LEAST_IMAGES = 50
_BINS = 15
_BOUNDS = (0.05, 20.0)
_STEPS = 60
_GOLDEN = (math.sqrt(5) - 1) / 2


def refuse_threshold(below: float) -> None:
    """Raises InputError for a threshold of 'unsure' that is no probability."""
    if not 0 <= below <= 1:
        raise InputError(f"--unsure-below is a probability, 0 to 1; got {below:g}.")


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float | None:
    """The temperature that fits labelled pictures best, 0.05 to 20.

    Args:
        logits: float32 [n, classes]. labels: int64 [n].

    Returns:
        None where it cannot be known: fewer than 50 pictures, or all of them answered right, to
        which ever greater confidence fits ever better.
    """
    if len(labels) < LEAST_IMAGES or (logits.argmax(axis=1) == labels).all():
        return None
    low, high = map(math.log, _BOUNDS)
    for _ in range(_STEPS):  # golden section: the loss has one minimum in log T
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if _loss(logits, labels, math.exp(left)) < _loss(logits, labels, math.exp(right)):
            high = right
        else:
            low = left
    return math.exp((low + high) / 2)


def _loss(logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float) -> float:
    """Mean negative log-likelihood."""
    scaled = logits.astype(np.float64) / temperature
    peak = scaled.max(axis=1)
    total = np.log(np.exp(scaled - peak[:, None]).sum(axis=1)) + peak
    return float((total - scaled[np.arange(len(labels)), labels]).mean())


def calibration_error(
    logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float = 1.0
) -> float:
    """Expected calibration error, 0 to 1: how far confidence is from accuracy, over 15 bins."""
    probabilities = softmax(logits / np.float32(temperature))
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    gaps = np.bincount(bins, right - confidence, minlength=_BINS)
    return float(np.abs(gaps).sum() / max(1, counts.sum()))
