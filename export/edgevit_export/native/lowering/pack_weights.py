"""Weights in the order in which the engine's kernels read them: docs/native.md says it."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

PANEL = 16
_GROUP = 4

_Number = TypeVar("_Number", bound=np.generic)


def float_panels(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """[K, N] to [panels, K, 16]."""
    padded = _with_whole_panels(matrix)
    return np.ascontiguousarray(padded.reshape(len(matrix), -1, PANEL).transpose(1, 0, 2))


def int8_panels(matrix: NDArray[np.int8]) -> NDArray[np.int8]:
    """[K, N] to [panels, K / 4, 16, 4]."""
    padded = _with_whole_panels(matrix)
    groups = padded.reshape(len(matrix) // _GROUP, _GROUP, -1, PANEL)
    return np.ascontiguousarray(groups.transpose(2, 0, 3, 1))


def of_panels(vector: NDArray[_Number]) -> NDArray[_Number]:
    """[N] to [panels * 16]."""
    return np.pad(vector, (0, -len(vector) % PANEL))


def tap_pairs(taps: NDArray[np.int8]) -> NDArray[np.int8]:
    """[taps, C] to [pairs, C, 2], with a zero tap at the end where their number is odd."""
    padded = np.pad(taps, ((0, len(taps) % 2), (0, 0)))
    return np.ascontiguousarray(padded.reshape(-1, 2, taps.shape[1]).transpose(0, 2, 1))


def _with_whole_panels(matrix: NDArray[Any]) -> NDArray[Any]:
    return np.pad(matrix, ((0, 0), (0, -matrix.shape[1] % PANEL)))
