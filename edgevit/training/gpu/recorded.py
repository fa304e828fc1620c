"""A function that a GPU repeats without the host: recorded once as a CUDA graph, then replayed.

A step of a small model is thousands of kernels of some microseconds each. Started one by one from
Python they leave a large GPU idle for most of the time.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

_WARM_UP = 3  # calls in which libraries choose kernels and take memory


class Recorded:
    """Calls ``function``; on a GPU the fourth call records it, and that is replayed from then on.

    Args:
        function: without arguments. All that it reads and writes lies in tensors that stay where
            they are, it draws numbers from ``generator`` alone, and it never waits for the device.
        device: "cpu" or "cuda"; on a CPU every call is a plain one.
    """

    def __init__(
        self, function: Callable[[], None], device: str, generator: torch.Generator
    ) -> None:
        self.function, self.device, self.generator = function, device, generator
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        if self.device == "cpu":
            self.function()
            return
        self.calls += 1
        if self.calls <= _WARM_UP:
            self._aside()
            return
        if self.graph is None:
            self.graph = self._record()
        self.graph.replay()

    def _aside(self) -> None:
        """On a stream of its own, as CUDA asks of the calls before a recording."""
        current = torch.cuda.current_stream()
        stream = torch.cuda.Stream(current.device)  # type: ignore[no-untyped-call]
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            self.function()
        current.wait_stream(stream)

    def _record(self) -> torch.cuda.CUDAGraph:
        """Recording runs nothing."""
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        with torch.cuda.graph(graph):
            self.function()
        return graph
