"""Compiling for ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.compiled import Built, Plan, Wanted, source_of
from edgevit.common.errors import BundleError, CheckFailedError
from edgevit.common.progress import Progress
from edgevit.workflows.targets.compile_request import CompileRequest


def plan_onnxruntime(bundle: Bundle, request: CompileRequest, progress: Progress) -> Plan:
    """The graph as ONNX Runtime optimises it on this machine."""
    from edgevit_export.engines.inline import refused_layers
    from edgevit_runtimes.backends.onnxruntime_runner import (
        Placement,
        compile_onnxruntime,
        refuse_absent,
    )
    from edgevit_runtimes.devices.facts import Compiling, built_for
    from edgevit_runtimes.devices.target import this_target

    del progress  # it takes a moment
    placement = Placement(request.provider.value, request.allow_fallback)
    refuse_absent(placement)
    wanted = Wanted(
        request.name,
        source_of(bundle, "onnxruntime", request.precision.value, this_target()),
        "onnxruntime",
        request.precision.value,
        "onnx",
        built_for("onnxruntime", Compiling(provider=request.provider.value)),
        {"provider": request.provider.value, "allow_fallback": request.allow_fallback},
    )

    def compile_it(source: Path) -> Built:
        try:
            return compile_onnxruntime(source, placement)
        except BundleError as error:
            layers = refused_layers(str(error), source.read_bytes())
            raise CheckFailedError(f"{error}.{layers}") from error

    return wanted, compile_it
