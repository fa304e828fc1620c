"""What every runtime looks like from outside: open, validate once, infer, close."""

from __future__ import annotations

from collections.abc import Mapping
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
