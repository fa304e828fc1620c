"""No library that edgevit loads reports about its user, unless that user wants it to.

ONNX Runtime (since 1.29, on Linux) keeps a device id and a database of events, with the
interpreter's path, processor and memory, in the user's cache, and uploads it some twenty seconds
after it was loaded. OpenVINO's Python package reports its own import to Google Analytics. Ray sends
statistics of use of every cluster that it starts.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

# Read once, when ONNX Runtime is loaded. Which of the names counts depends on its version.
SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",
    "ORT_TELEMETRY_DISABLED": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_REPORTERS = {"openvino": "openvino_telemetry"}


def switch_off() -> None:
    """For this process and those that it starts; a variable that the user has set stays."""
    for name, value in SWITCHES.items():
        os.environ.setdefault(name, value)


def import_quietly(name: str) -> ModuleType:
    """A module that would report its import, imported without that.

    Its reporter is a package of its own and may be missing; so it is, until the import is done.
    """
    reporter = _REPORTERS.get(name)
    if reporter is None or name in sys.modules:
        return importlib.import_module(name)
    with _missing(reporter):
        return importlib.import_module(name)


@contextmanager
def _missing(name: str) -> Iterator[None]:
    former = sys.modules.get(name)
    sys.modules[name] = None  # type: ignore[assignment]  # Python's own mark for that
    try:
        yield
    finally:
        del sys.modules[name]
        if former is not None:
            sys.modules[name] = former
