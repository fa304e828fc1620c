"""Answers that do not flicker: probabilities averaged over time."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError


class Smoothing:
    """An exponential mean of the classes' probabilities over ``seconds``, whatever the frame rate.

    A frame that comes t seconds after the one before has the weight 1 - exp(-t / seconds).
    """

    def __init__(self, seconds: float) -> None:
        if not (math.isfinite(seconds) and seconds >= 0):
            raise InputError(f"--smooth must be a number of seconds, 0 or more; got {seconds:g}.")
        self._seconds = seconds
        self._mean: NDArray[np.float32] | None = None
        self._last_s = 0.0

    def add(self, probabilities: NDArray[np.float32], captured_s: float) -> NDArray[np.float32]:
        """The mean with these probabilities in it, float32 [classes]."""
        if self._mean is None or self._seconds == 0:
            self._mean = probabilities
        else:
            elapsed_s = max(0.0, captured_s - self._last_s)
            weight = np.float32(-math.expm1(-elapsed_s / self._seconds))
            self._mean = self._mean + weight * (probabilities - self._mean)
        self._last_s = captured_s
        return self._mean
