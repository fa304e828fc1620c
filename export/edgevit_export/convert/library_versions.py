"""Which versions made a bundle."""

from __future__ import annotations

import platform

from edgevit.common.installed import distribution
from edgevit.common.version import __version__

_LIBRARIES = ("torch", "onnx", "onnxruntime", "onnxsim", "numpy")


def library_versions() -> dict[str, str]:
    """Of edgevit, Python, and what an export goes through."""
    libraries = {name: distribution(name)[1] for name in _LIBRARIES}
    return {"edgevit": __version__, "python": platform.python_version(), **libraries}
