"""95 % confidence intervals of proportions, and of the difference of two paired ones.

Both are score intervals: right for few pictures too, and never empty where nothing differs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

_Z_95 = 1.959963984540054  # of the normal distribution, two-sided 95 %


def wilson(right: int, of: int) -> tuple[float, float]:
    """Where a proportion lies, 0 to 1; everywhere if nothing was counted.

    Source: E. B. Wilson, Journal of the American Statistical Association 22 (1927), 209-212.
    """
    if not of:
        return 0.0, 1.0
    p = right / of
    scale = 1 + _Z_95**2 / of
    middle = p + _Z_95**2 / (2 * of)
    half = _Z_95 * sqrt(p * (1 - p) / of + _Z_95**2 / (4 * of * of))
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


@dataclass(frozen=True)
class Pairs:
    """How often the first, the second, both or neither of two was right, on the same pictures."""

    both: int
    only_first: int
    only_second: int
    neither: int

    @property
    def total(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither

    def difference_interval(self) -> tuple[float, float]:
        """Where the first's proportion less the second's lies, -1 to 1.

        Wilson's intervals of both, put together by how much they go along with each other.
        Source: R. G. Newcombe, Statistics in Medicine 17 (1998), 2635-2650, method 10.
        """
        if not self.total:
            return -1.0, 1.0
        first, second = self.both + self.only_first, self.both + self.only_second
        p, q = first / self.total, second / self.total
        (p_low, p_high), (q_low, q_high) = wilson(first, self.total), wilson(second, self.total)
        phi = self._correlation()
        low = p - q - _correlated_sum(p - p_low, q_high - q, phi)
        high = p - q + _correlated_sum(p_high - p, q - q_low, phi)
        return max(-1.0, low), min(1.0, high)

    def _correlation(self) -> float:
        """Of being right, with a continuity correction; 0 where one is always right, or never."""
        first, second = self.both + self.only_first, self.both + self.only_second
        product = first * (self.total - first) * second * (self.total - second)
        if not product:
            return 0.0
        covariance = float(self.both * self.neither - self.only_first * self.only_second)
        if covariance > 0:
            covariance = max(covariance - self.total / 2, 0.0)
        return covariance / sqrt(product)


def _correlated_sum(a: float, b: float, phi: float) -> float:
    """Of two lengths; squares and their roots may round below zero."""
    return sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))
