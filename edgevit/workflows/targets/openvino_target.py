"""Compiling for OpenVINO."""

from __future__ import annotations

from functools import partial

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.compiled import Plan, Wanted, source_of
from edgevit.common.libraries import require_modules
from edgevit.common.progress import Progress
from edgevit.workflows.targets.compile_request import CompileRequest


def plan_openvino(bundle: Bundle, request: CompileRequest, progress: Progress) -> Plan:
    """The graph without local functions, which OpenVINO reads and compiles when it opens it."""
    from edgevit_export.engines.openvino import compile_openvino, openvino_options
    from edgevit_runtimes.backends.openvino_runner import OpenVinoRunner

    del progress  # it takes a moment
    require_modules("--target openvino", "openvino", ("openvino",))
    has_superpixels = bundle.manifest.superpixel_map is not None
    options = openvino_options(request.precision.value, has_superpixels)
    wanted = Wanted(
        request.name,
        source_of(bundle, "openvino", request.precision.value),
        "openvino",
        request.precision.value,
        "onnx",
        {},
        options,
    )
    keep = options.get("keep_float32")
    runner = partial(OpenVinoRunner, precision=options["precision"], keep_float32=keep)
    return wanted, lambda source: compile_openvino(source.read_bytes(), runner)
