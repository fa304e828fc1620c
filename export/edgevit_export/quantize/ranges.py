"""From what was observed of a tensor to the range that eight bits shall cover.

A range that covers everything wastes its steps on outliers; a narrow one cuts them off.

- ``minmax``: everything.
- ``percentile``: all but 0.01 % at either end.
- ``entropy``: the cut whose quantized histogram diverges least (Kullback-Leibler) from the clipped
  one, as in TensorRT (Migacz, "8-bit inference with TensorRT", 2017).
- ``mse``: the cut with the least expected square error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevit_export.quantize.observe import BINS, Observed

_TAIL = 1e-4
_LEVELS = 256
_FRACTIONS = np.linspace(0.05, 1.0, 39)


@dataclass(frozen=True)
class Range:
    """From ``low`` to ``high``, inclusive."""

    low: float
    high: float

    def asymmetric(self) -> tuple[np.float32, np.uint8]:
        """(scale, zero point) of uint8; zero itself is always exact."""
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        scale = np.float32(max(high - low, 1e-12) / 255)
        return scale, np.uint8(np.clip(np.rint(-low / scale), 0, 255))

    def symmetric(self) -> np.float32:
        """The scale of int8 -127..127."""
        return np.float32(max(abs(self.low), abs(self.high), 1e-12) / 127)


def minmax(observed: Observed) -> Range:
    return Range(observed.low, observed.high)


def percentile(observed: Observed) -> Range:
    counts, edges = _histogram(observed)
    fraction = counts.cumsum() / counts.sum()
    first, last = np.searchsorted(fraction, [_TAIL, 1 - _TAIL])
    low, high = edges[first], edges[min(int(last) + 1, BINS)]
    return Range(float(low), float(high))


def mse(observed: Observed) -> Range:
    """Both ends are drawn in by the same fraction."""
    counts, edges = _histogram(observed)
    middles = (edges[:-1] + edges[1:]) / 2

    def error(fraction: float) -> float:
        low, high = fraction * observed.low, fraction * observed.high
        step = max(high - low, 1e-12) / (_LEVELS - 1)
        clipped = np.clip(middles, low, high)
        quantized = np.rint((clipped - low) / step) * step + low
        # Inside a bin values differ too; a step far below the bin's width gains nothing.
        return float((counts * ((quantized - middles) ** 2 + step**2 / 12)).sum())

    best = min(_FRACTIONS, key=error)
    return Range(float(best * observed.low), float(best * observed.high))


def entropy(observed: Observed) -> Range:
    """Both ends are drawn in by the same fraction, as for ``mse``."""
    counts, edges = _histogram(observed)

    def divergence(fraction: float) -> float:
        first = int(np.searchsorted(edges, fraction * observed.low))
        last = int(np.searchsorted(edges, fraction * observed.high, side="right")) - 1
        if last - first < _LEVELS:
            return np.inf
        kept = counts[first:last]
        clipped = kept.copy()
        clipped[0] += counts[:first].sum()
        clipped[-1] += counts[last:].sum()
        return _divergence(clipped, kept)

    best = min(_FRACTIONS, key=divergence)
    return Range(float(best * observed.low), float(best * observed.high))


def _divergence(clipped: NDArray[np.float64], kept: NDArray[np.float64]) -> float:
    """KL(clipped || kept, merged into 256 levels and spread out again).

    What was cut off is in the first and not in the second: cutting costs.
    """
    level = np.arange(len(kept)) * _LEVELS // len(kept)
    filled = clipped > 0
    sums = np.bincount(level, kept, _LEVELS)
    cells = np.bincount(level, filled, _LEVELS)
    spread = np.where(filled, (sums / np.maximum(cells, 1))[level], 0.0)
    p, q = clipped[filled] / clipped.sum(), spread[filled] / max(spread.sum(), 1e-30)
    return float((p * np.log(p / np.maximum(q, 1e-12))).sum())


def _histogram(observed: Observed) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if observed.counts is None:
        raise ValueError("the tensor was not counted")
    return observed.counts, observed.edges


METHODS: dict[str, Callable[[Observed], Range]] = {
    "minmax": minmax,
    "percentile": percentile,
    "entropy": entropy,
    "mse": mse,
}
