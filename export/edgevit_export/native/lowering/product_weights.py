"""The constant matrix or kernel of a product, in float and, where it is stored so, as int8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit_export.native.draft.tensors import Floats, Numbers, UnsupportedError, View


@dataclass(frozen=True)
class Weight:
    """float32 [taps, C, N]; the same as int8 with a scale for every output, if it is stored so."""

    values: Floats
    int8: NDArray[np.int8] | None
    scales: Floats | None

    @property
    def taps(self) -> int:
        return int(self.values.shape[0])

    @property
    def channels(self) -> int:
        return int(self.values.shape[1])

    @property
    def outputs(self) -> int:
        return int(self.values.shape[2])

    def in_taps(self, taps: int) -> Weight:
        """The same inputs as those of some taps."""
        shape = (taps, -1, self.outputs)
        int8 = None if self.int8 is None else self.int8.reshape(shape)
        return Weight(self.values.reshape(shape), int8, self.scales)

    def of_outputs(self, chosen: NDArray[np.int64]) -> Weight:
        """Those of some outputs, which may be repeated."""
        return Weight(
            self.values[..., chosen],
            None if self.int8 is None else self.int8[..., chosen],
            None if self.scales is None else self.scales[chosen],
        )


def matrix(view: View, is_transposed: bool) -> Weight:
    """[K, N], or [N, K] if it is transposed, as one tap."""
    values = view.constant
    if values is None or values.ndim != 2:
        raise UnsupportedError("both of its matrices depend on the picture")
    stored = _stored(view, 0 if is_transposed else 1)

    def upright(array: NDArray[Any]) -> NDArray[Any]:
        return (array.T if is_transposed else array)[None]

    return Weight(
        upright(values).astype(np.float32),
        None if stored is None else upright(stored[0]),
        None if stored is None else stored[1],
    )


def kernel(view: View) -> Weight:
    """[N, C, kh, kw] as taps (y, x) in order."""
    values = view.constant
    if values is None:
        raise UnsupportedError("its kernel depends on the picture")
    outputs, inner = values.shape[:2]
    stored = _stored(view, 0)

    def transposed(array: NDArray[Any]) -> NDArray[Any]:
        return array.transpose(2, 3, 1, 0).reshape(-1, inner, outputs)

    return Weight(
        transposed(values).astype(np.float32),
        None if stored is None else transposed(stored[0]),
        None if stored is None else stored[1],
    )


def _stored(view: View, axis: int) -> tuple[NDArray[np.int8], Floats] | None:
    """(int8, scales) of a weight that is stored so, with a scale for every output."""
    tensor = view.tensor
    if not isinstance(tensor, Numbers) or tensor.int8 is None:
        return None
    found = tensor.int8
    is_plain = np.array_equal(view.places.ravel(), np.arange(found.values.size))
    if view.shape != found.values.shape or not is_plain or found.axis != axis:
        return None
    return found.values, found.scales
