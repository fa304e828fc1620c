"""A runner for several threads."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from edgevit.common.errors import InputError
from edgevit.inference.runner import Array, Runner
from edgevit.zoo.interface.tensors import TensorSpec


class SharedRunner:
    """Runs one inference at a time, whichever thread asks, and none after it was closed.

    ONNX Runtime's sessions may be used from several threads; OpenVINO's requests and TensorRT's
    contexts may not, and none of them may be closed while another thread is in them.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._lock = threading.Lock()
        self._closed = False

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._runner.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._runner.outputs

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See :class:`edgevit.inference.runner.Runner`; the arrays are the caller's own.

        Raises:
            InputError: it was closed, maybe by another thread.
        """
        with self._lock:
            if self._closed:
                raise InputError(
                    "The model was closed. Open it again with edgevit.load(...), and close it when "
                    "no thread needs it any more."
                )
            return self._runner.infer(feeds)

    def close(self) -> None:
        """Waits for the inference under way."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._runner.close()

    def __enter__(self) -> SharedRunner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
