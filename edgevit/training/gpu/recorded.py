"""A function that a GPU repeats without the host: recorded once as a CUDA graph, then replayed.

A step of a small model is thousands of kernels of some microseconds each. Started one by one from
Python they leave a large GPU idle for most of the time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_WARM_UP = 3  # calls in which libraries choose kernels and take memory


class Recorded:
    """Calls ``function``, on a GPU from the fourth time on by replaying what the third did.

    Args:
        function: without arguments. All that it reads and writes lies in tensors that stay where
            they are, it draws numbers from ``generator`` alone, and it never waits for the device.
        device: "cpu" or "cuda"; on a CPU every call is a plain one.
    """

    def __init__(
        self, function: Callable[[], Tensor], device: str, generator: torch.Generator
    ) -> None:
        self.function, self.device, self.generator = function, device, generator
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.result = torch.empty(0)

    def __call__(self) -> Tensor:
        """The function's result; the next call may overwrite it."""
        if self.device == "cpu":
            return self.function()
        self.calls += 1
        if self.calls <= _WARM_UP:
            return self._aside()
        if self.graph is None:
            self.graph = self._record()
        self.graph.replay()
        return self.result

    def _aside(self) -> Tensor:
        """On a stream of its own, as CUDA asks of the calls before a recording."""
        current = torch.cuda.current_stream()
        stream = torch.cuda.Stream(current.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            result = self.function()
        current.wait_stream(stream)
        return result

    def _record(self) -> torch.cuda.CUDAGraph:
        """Recording runs nothing."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        with torch.cuda.graph(graph):
            self.result = self.function()
        return graph
