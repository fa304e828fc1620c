"""Compiling for edgevit's own engine, libedgevit."""

from __future__ import annotations

from pathlib import Path

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.compiled import Built, Plan, Wanted, source_of
from edgevit.common.errors import InputError
from edgevit.common.libraries import require_modules
from edgevit.common.progress import Progress
from edgevit.workflows.targets.compile_request import CompileRequest, Precision
from edgevit.zoo.interface.tensors import LOGITS
from edgevit_runtimes.backends.native.native_library import library


def plan_native(bundle: Bundle, request: CompileRequest, progress: Progress) -> Plan:
    """A file that the engine opens on any processor, by its own kernels; see docs/native.md.

    Raises:
        MissingExtraError: onnx is not installed, as on a device.
        InputError: the engine has no such precision, gives less than the bundle's model, or was not
            built here.
    """
    del progress  # it takes a moment
    require_modules("--target native", "export", ("onnx", "onnx_ir"))
    if request.precision not in (Precision.fp32, Precision.int8):
        raise InputError(
            f"The native engine computes in fp32 or int8; got --precision "
            f"{request.precision.value}."
        )
    library()  # which answers the bundle's pictures, before the variant is kept
    _refuse_other_tasks(bundle)
    _refuse_more_outputs(bundle)
    wanted = Wanted(
        request.name,
        source_of(bundle, "native", request.precision.value),
        "native",
        request.precision.value,
        "native",
    )
    return wanted, compiled_natively


def _refuse_other_tasks(bundle: Bundle) -> None:
    if bundle.manifest.task != "classification":
        raise InputError(
            f"The native engine runs classifiers; {bundle.manifest.model.name} is a model for "
            f"{bundle.manifest.task}. Compile it with --target onnxruntime, openvino or tensorrt."
        )


def _refuse_more_outputs(bundle: Bundle) -> None:
    others = [output.name for output in bundle.manifest.outputs if output.name != LOGITS]
    if others:
        raise InputError(
            f"The native engine gives logits; the model of {bundle.path} also gives "
            f"{', '.join(others)}. Export it without --with-superpixels and --with-features."
        )


def compiled_natively(source: Path) -> Built:
    """From a float or a Q/DQ model."""
    from edgevit_export.convert.read_onnx import read_onnx, understood
    from edgevit_export.native.compile_native import compile_native

    with understood(source):
        return Built(compile_native(read_onnx(source)))
