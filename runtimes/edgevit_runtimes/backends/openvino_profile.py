"""What OpenVINO's nodes took: its own counters, read after every inference."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

from edgevit.inference.runner import LayerTime

_ORIGINALS = "originalLayersNames"


class OpenVinoProfile:
    """Collects the counters of requests that were compiled with ``PERF_COUNT``."""

    def __init__(self, requests: Sequence[Any]) -> None:
        self._requests = requests
        self._durations: dict[tuple[str, str], list[float]] = defaultdict(list)

    def note(self) -> None:
        """Adds the inference that has just ended."""
        for place, request in enumerate(self._requests):
            for node in request.profiling_info:
                if node.status.name == "EXECUTED":
                    key = (f"{place}:{node.node_name}", node.node_type)
                    self._durations[key].append(node.real_time.total_seconds() * 1e6)

    def layer_times(self) -> list[LayerTime]:
        """Medians over the inferences."""
        names: dict[str, str] = {}
        for place, request in enumerate(self._requests):
            graph = request.get_compiled_model().get_runtime_model()
            for node in graph.get_ordered_ops():
                names[f"{place}:{node.friendly_name}"] = _module_name(node)
        return [
            LayerTime(names.get(key, key.partition(":")[2]), op, median(times))
            for (key, op), times in self._durations.items()
        ]


def _module_name(node: Any) -> str:
    """Its own name, or if that says no module, one of a node that it was fused from."""
    info = node.get_rt_info()
    fused = str(info[_ORIGINALS].value).split(",") if _ORIGINALS in info else []
    own = str(node.friendly_name)
    return next((name for name in [own, *fused] if "/" in name), own)
