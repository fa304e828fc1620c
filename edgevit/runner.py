"""What every runtime looks like from outside: open, validate once, infer, close."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgevit.errors import InputError
from edgevit.spec import TensorSpec

Array = NDArray[Any]


class Runner(Protocol):
    """A loaded model. Used as a context manager, or closed by hand."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Arrays by input name to arrays by output name, in the order of ``outputs``."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Runner: ...

    def __exit__(self, *exc: object) -> None: ...


OpenRunner = Callable[[bytes], Runner]  # opens a serialised model


def batch_size(inputs: tuple[TensorSpec, ...], otherwise: int) -> int:
    """Pictures an inference: the fixed batch of a model, or ``otherwise`` where it takes any."""
    fixed = inputs[0].shape[0]
    return fixed if isinstance(fixed, int) else otherwise


def full_batches(count: int, size: int) -> Iterator[list[int]]:
    """Places of ``count`` pictures, ``size`` at a time; the last is repeated to fill a batch.

    Answers to the repeated ones are a surplus to be cut off.
    """
    for start in range(0, count, size):
        yield [min(place, count - 1) for place in range(start, start + size)]


def check_feeds(feeds: Mapping[str, Array], inputs: tuple[TensorSpec, ...]) -> None:
    """Refuses feeds whose names, dtypes or shapes are not the model's.

    Raises:
        InputError: says what was given and what is wanted.
    """
    wanted = {spec.name: spec for spec in inputs}
    if set(feeds) != set(wanted):
        raise InputError(
            f"The model takes {', '.join(wanted)}; got {', '.join(feeds) or 'nothing'}."
        )
    for name, spec in wanted.items():
        array = feeds[name]
        if array.dtype != np.dtype(spec.dtype) or not spec.accepts(array.shape):
            raise InputError(
                f"Input '{name}' is {array.dtype}{list(array.shape)}; expected {spec}. "
                "edgevit.images.batch makes it from pictures."
            )
