"""A model in the runtime that it was made for."""

from __future__ import annotations

from pathlib import Path

from edgevit.bundle import Bundle
from edgevit.errors import InputError
from edgevit.runner import Runner
from edgevit_runtimes.onnxruntime_runner import OnnxRuntimeRunner


def open_variant(bundle: Bundle, variant: str, threads: int = 1) -> Runner:
    """Loads a bundle's variant; see :func:`open_model`."""
    file = bundle.variant(variant)
    return open_model(file, bundle.manifest.variants[variant].runtime, threads)


def open_model(model: Path | bytes, runtime: str, threads: int = 1, native: bool = True) -> Runner:
    """Loads a file, or its bytes, in a runtime by name.

    Args:
        native: in ONNX Runtime, use the native superpixel kernels where they are built.

    Raises:
        BundleError: the runtime cannot load it.
        MissingExtraError: the runtime is not installed.
        InputError: there is no runner for it yet.
    """
    if runtime == "onnxruntime":
        return OnnxRuntimeRunner(model, threads, native)
    if runtime == "openvino":
        from edgevit_runtimes.openvino_runner import OpenVinoRunner

        return OpenVinoRunner(model, threads)
    raise InputError(
        f"This variant is for {runtime}, which edgevit builds for but does not run yet. Give "
        "another with --variant."
    )
