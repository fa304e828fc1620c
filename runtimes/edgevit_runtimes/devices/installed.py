"""Which distribution brings a runtime: the module ``onnxruntime`` comes in several."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

_DISTRIBUTIONS = {"onnxruntime": ("onnxruntime", "onnxruntime-gpu")}


def distribution(module: str) -> tuple[str, str]:
    """(name, version) of what is installed: ``("onnxruntime-gpu", "1.31.1")``.

    A module that pip does not know, such as one built from source, goes by its own version.
    """
    for name in _DISTRIBUTIONS.get(module, (module,)):
        try:
            return name, version(name)
        except PackageNotFoundError:
            continue
    from importlib import import_module

    return module, str(import_module(module).__version__)
