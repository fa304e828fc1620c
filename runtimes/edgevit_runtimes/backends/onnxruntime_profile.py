"""What ONNX Runtime's profiler wrote: a Chrome trace, one event a node and inference."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import onnxruntime as ort

from edgevit.common.errors import DamagedError
from edgevit.common.untrusted.parsers import parsing
from edgevit.inference.runner import LayerTime

_SUFFIX = "_kernel_time"
_FUSED = "fused "  # before the name of a node that took in its activation


def start_profiling(options: ort.SessionOptions) -> TemporaryDirectory[str]:
    """Switches it on, for a session that is opened with these options; gives the folder used."""
    folder = TemporaryDirectory()
    options.enable_profiling = True
    options.profile_file_prefix = str(Path(folder.name) / "profile")
    return folder


def read_profile(trace: Path) -> list[LayerTime]:
    """Medians over the inferences, in the order of the first.

    Raises:
        DamagedError: the model's names break the trace, which quotes them as they are.
    """
    durations: dict[tuple[str, str], list[float]] = defaultdict(list)
    with parsing(lambda reason: DamagedError(f"ONNX Runtime's profile is no JSON: {reason}.")):
        for event in json.loads(trace.read_text(encoding="utf-8")):
            if event.get("cat") == "Node" and event["name"].endswith(_SUFFIX):
                name = event["name"].removesuffix(_SUFFIX).removeprefix(_FUSED)
                durations[name, event["args"]["op_name"]].append(float(event["dur"]))
    return [LayerTime(name, op, median(times)) for (name, op), times in durations.items()]
