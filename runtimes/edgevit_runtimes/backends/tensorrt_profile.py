"""What an engine's layers took, as TensorRT reports them to a profiler."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import Any

from edgevit.inference.runner import LayerTime

_OP = "TensorRT layer"  # a layer may be many nodes, and its name says which


def layer_profiler(trt: Any) -> Any:
    """A ``trt.IProfiler`` with ``layer_times()``; to be set as an execution context's profiler."""

    class LayerProfiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self._durations: dict[str, list[float]] = defaultdict(list)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            """TensorRT calls this for every layer of every inference."""
            self._durations[layer_name].append(1000 * ms)

        def layer_times(self) -> list[LayerTime]:
            """Medians over the inferences, in the order of running."""
            return [LayerTime(name, _OP, median(each)) for name, each in self._durations.items()]

    return LayerProfiler()
