"""Where two variants differ: the first tensor that differs by more than a tolerance.

Both are asked for one tensor at a time: a runtime that has to give every tensor fuses nothing, and
a difference that comes from fusing would not show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgevit.bundle.bundle import FLOAT_VARIANT, Bundle
from edgevit.common.errors import InputError
from edgevit.common.progress import Progress
from edgevit.inference.agreement import relative_error
from edgevit.inference.batches import infer_batches
from edgevit.inference.runner import Array, Runner
from edgevit_export.inspect.expose import exposed, inner_tensors

# A difference of this relative size is not rounding any more, by the variant's precision.
TOLERANCES = {"float32": 1e-3, "float16": 0.03, "bfloat16": 0.1, "int8": 0.3}
_FIRST_COMPARED = 12

# Opens a bundle's variant.
OpenVariant = Callable[[Bundle, str], Runner]


@dataclass(frozen=True)
class TensorError:
    """One tensor in both variants.

    error: |a - b| / |b| over all its values; nan where one is not finite. differs: it is above the
    tolerance.
    """

    tensor: str
    error: float
    differs: bool

    def to_dict(self) -> dict[str, Any]:
        """``parted`` is the former name of ``differs``; it goes with version 0.3."""
        return {**asdict(self), "parted": self.differs}


@dataclass(frozen=True)
class Pair:
    """A variant beside the float one, and the pictures that both get.

    pictures: uint8 [n, size, size, 3]. open_reference: opens the float variant.
    """

    bundle: Bundle
    variant: str
    pictures: Array
    open_variant: OpenVariant
    open_reference: OpenVariant

    def shared_tensors(self) -> list[str]:
        """Those of the same name and shape in both, in the order of the variant.

        Raises:
            InputError: one of the two is no ONNX file, or they share none.
        """
        reference = inner_tensors(self.bundle, FLOAT_VARIANT)
        given = {str(spec) for spec in reference}
        own = inner_tensors(self.bundle, self.variant)
        shared = [spec.name for spec in own if str(spec) in given]
        if not shared:
            raise InputError(f"'{self.variant}' has no tensor in common with '{FLOAT_VARIANT}'.")
        return shared

    def error(self, tensor: str) -> float:
        """|a - b| / |b| over all values; nan where one is not finite."""
        got = self._values(self.variant, tensor, self.open_variant)
        return relative_error(self._values(FLOAT_VARIANT, tensor, self.open_reference), got)

    def _values(self, variant: str, tensor: str, open_variant: OpenVariant) -> Array:
        with (
            exposed(self.bundle, variant, [tensor]) as opened,
            open_variant(opened, variant) as runner,
        ):
            batches = infer_batches(runner, self.pictures, len(self.pictures), (tensor,))
            return np.concatenate([outputs[tensor].ravel() for outputs in batches])


def bisect(pair: Pair, progress: Progress, tolerance: float | None = None) -> list[TensorError]:
    """Compares tensors spread along the model, then between the last that agrees and the first not.

    Args:
        tolerance: of the relative error; by default that of the variant's precision.

    Returns:
        Every tensor that was compared, in the order in which they are computed. The first that
        differs is where the two differ; none differs if they do not.

    Raises:
        InputError: one of the two is no ONNX file, or they have no tensors in common.
    """
    names = pair.shared_tensors()
    precision = pair.bundle.manifest.variants[pair.variant].precision
    limit = TOLERANCES[precision] if tolerance is None else tolerance
    compared: dict[int, TensorError] = {}

    def differs(place: int) -> bool:
        if place not in compared:
            with progress.working(f"compare {names[place]}"):
                error = pair.error(names[place])
            compared[place] = TensorError(names[place], error, not error <= limit)
        return compared[place].differs

    spread = np.linspace(0, len(names) - 1, _FIRST_COMPARED).round().astype(int)
    places = sorted(set(spread.tolist()))
    high = next((place for place in places if differs(place)), None)
    if high is not None:
        low = max((place for place in places if place < high), default=-1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if differs(middle) else (middle, high)
    return [compared[place] for place in sorted(compared)]


def first_difference(compared: Sequence[TensorError]) -> TensorError | None:
    """The first tensor that differs, if one does."""
    return next((each for each in compared if each.differs), None)
