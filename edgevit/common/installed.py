"""Which distribution is installed, of those that bring the same: ONNX Runtime has several."""

from __future__ import annotations

from edgevit.common.telemetry import import_quietly

_DISTRIBUTIONS = {
    "onnxruntime": ("onnxruntime", "onnxruntime-gpu"),
    "opencv-python-headless": ("opencv-python-headless", "opencv-python"),
    "tensorrt": ("tensorrt", "tensorrt-rtx"),
}


def distribution(module: str) -> tuple[str, str]:
    """(name, version) of what is installed: ``("onnxruntime-gpu", "1.31.1")``.

    A module that pip does not know, such as one built from source, goes by its own version.

    Raises:
        ImportError: there is no such module.
    """
    return known_distribution(module) or (module, str(import_quietly(module).__version__))


def known_distribution(usual: str) -> tuple[str, str] | None:
    """The same by the distribution's usual name, without importing it; None: pip knows of none."""
    from importlib.metadata import PackageNotFoundError, version  # twenty milliseconds

    for name in _DISTRIBUTIONS.get(usual, (usual,)):
        try:
            return name, version(name)
        except PackageNotFoundError:
            continue
    return None
