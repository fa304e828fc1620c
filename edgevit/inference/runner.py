"""What every runtime looks like from outside: open, validate once, infer, close."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, runtime_checkable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from edgevit.common.errors import InputError
from edgevit.zoo.interface.tensors import TensorSpec

Array = NDArray[Any]
_PROFILING: ContextVar[bool] = ContextVar("profiling", default=False)


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


class LayerTime(Struct, frozen=True):
    """What one node took of an inference.

    name: ``MODULE/Op`` where the runtime kept it; what it fused may have a name of its own.
    """

    name: str
    op: str
    microseconds: float


@runtime_checkable
class ProfiledRunner(Runner, Protocol):
    """A runner that can say what its nodes took, if it was opened inside :func:`profiling`."""

    def layer_times(self) -> list[LayerTime]:
        """Medians over the inferences, in the order of running. To be called once, at the end."""
        ...


@contextmanager
def profiling() -> Iterator[None]:
    """Runners that are opened inside note what every node takes, which slows them down."""
    token = _PROFILING.set(True)
    try:
        yield
    finally:
        _PROFILING.reset(token)


def is_profiling() -> bool:
    """Whether a runner that opens now is to be profiled."""
    return _PROFILING.get()


def batch_size(inputs: tuple[TensorSpec, ...], otherwise: int) -> int:
    """Pictures an inference: the fixed batch of a model, or ``otherwise`` where it takes any."""
    fixed = inputs[0].shape[0]
    return fixed if isinstance(fixed, int) else otherwise


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
                "edgevit.images.image_io.batch makes it from pictures."
            )
