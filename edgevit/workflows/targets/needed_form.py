"""The ONNX form that a variant is compiled from, made where the bundle does not have it yet."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from shlex import quote

from edgevit.bundle.bundle import FLOAT_VARIANT, Bundle
from edgevit.bundle.edit import edit, refuse_unwritable
from edgevit.bundle.manifest import Variant, variant_file
from edgevit.bundle.variant_names import HALF_VARIANT
from edgevit.common.errors import InputError
from edgevit.common.libraries import require_modules
from edgevit.common.progress import Progress, stage
from edgevit.workflows.targets.compile_request import CompileRequest, Precision, Target


def with_needed_form(
    bundle: Bundle,
    request: CompileRequest,
    data: Path | str | None,
    threads: int,
    progress: Progress,
) -> Bundle:
    """Makes the form that the request is compiled from, which the bundle lacks.

    FP16 needs no pictures but the bundle's own; INT8 is calibrated on labelled ones.

    Args:
        data: labelled pictures, one folder a class; None: there are none.

    Raises:
        InputError: INT8 has to be made, and no pictures were given.
        MissingExtraError: onnx is not installed, as on a device.
    """
    if request.precision is Precision.fp16:
        return _with_half(bundle, progress)
    if data is None:
        raise missing_images(bundle, request)
    from edgevit.workflows.quantize import quantize

    name = _target(request)
    progress.line(f"the bundle has no int8 form for {name} yet: quantizing it first")
    return quantize(bundle, data, targets=[name], threads=threads, progress=progress).bundle


def missing_images(bundle: Bundle, request: CompileRequest) -> InputError:
    """What is said where INT8 has to be calibrated and no labelled pictures were given."""
    return InputError(
        f"{bundle.path} has no int8 form for {_target(request)} yet, and calibrating one takes "
        f"labelled images. Give them: edgevit compile {quote(str(bundle.path))} --target "
        f"{request.target.value} --precision int8 --data IMAGES"
    )


def _target(request: CompileRequest) -> str:
    """What quantize calls it: ONNX Runtime has a form for each kind of machine."""
    from edgevit_runtimes.devices.target import this_target

    return this_target() if request.target is Target.onnxruntime else request.target.value


def _with_half(bundle: Bundle, progress: Progress) -> Bundle:
    """The FP16 form; which tensors are too large for it is seen on the bundle's own pictures."""
    require_modules("--precision fp16", "export", ("onnx", "onnx_ir"))
    import onnx
    import onnx_ir as ir

    from edgevit_export.convert.graph import with_stored_weights
    from edgevit_export.convert.read_onnx import read_onnx, understood
    from edgevit_export.passes.widen_weights import widen_weights
    from edgevit_export.quantize.half import to_half
    from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner

    refuse_unwritable(bundle)
    file = bundle.variant(FLOAT_VARIANT)
    with stage(progress, "convert to FP16, which the bundle does not have"):
        with understood(file):
            model = ir.from_proto(read_onnx(file))
            widen_weights(model)
            half = to_half(
                with_stored_weights(model), bundle.reference().images, OnnxRuntimeRunner
            ).model
            onnx.checker.check_model(ir.to_proto(half), full_check=True)
        with edit(bundle) as draft:
            draft.require_same(bundle, [FLOAT_VARIANT])
            name = variant_file(HALF_VARIANT)
            draft.write(name, partial(ir.save, half))
            draft.put(HALF_VARIANT, Variant(name, "float16", "float16", "onnxruntime", "gpu"))
    return draft.bundle
