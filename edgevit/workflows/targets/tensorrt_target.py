"""Compiling for TensorRT."""

from __future__ import annotations

from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.compiled import Plan, Wanted, source_of
from edgevit.common.errors import InputError
from edgevit.common.progress import Progress
from edgevit.workflows.targets.compile_request import CompileRequest


def plan_tensorrt(bundle: Bundle, request: CompileRequest, progress: Progress) -> Plan:
    """An engine for the GPU that is here, or ahead of time for a compute capability."""
    from edgevit_export.engines.tensorrt import (
        BatchRange,
        EngineOptions,
        compile_tensorrt,
        tensorrt_for,
    )
    from edgevit_runtimes.devices.facts import Compiling, built_for

    tensorrt_for(request.capability)  # an unknown capability is said before a missing GPU
    batch = BatchRange.parse(request.batch) if request.batch else BatchRange()
    options: dict[str, Any] = {"cuda_graph": request.cuda_graph}
    fixed = bundle.manifest.inputs[0].shape[0]
    if not isinstance(fixed, int):
        options["batch"] = str(batch)
    elif request.batch and request.batch != str(fixed):
        raise InputError(
            f"{bundle.path} was exported for batch {fixed}; got --batch {request.batch}. Export "
            "it with --dynamic-batch."
        )
    facts = built_for("tensorrt", Compiling(request.capability))  # before a form is looked for
    wanted = Wanted(
        request.name,
        source_of(bundle, "tensorrt", request.precision.value),
        "tensorrt",
        request.precision.value,
        "engine",
        facts,
        options,
    )
    engine = EngineOptions(request.capability, batch)
    return wanted, lambda source: compile_tensorrt(source.read_bytes(), engine, progress)
