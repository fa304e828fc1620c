"""A model in the runtime that it was made for: the one door through which every one is opened.

Runtimes are imported when they are used: each takes longer to import than the engine to answer.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import DamagedError, InputError
from edgevit.common.storage.cache import writable_cache
from edgevit.inference.runner import Runner
from edgevit.zoo.interface.tensors import TensorSpec
from edgevit_runtimes.devices.facts import refuse_foreign


@dataclass(frozen=True)
class Host:
    """What a runtime may use of this machine.

    cores: the processors that the calling thread, and every thread that the runtime starts, stay
        on from now on; None: all that the process may use.
    arena: whether ONNX Runtime keeps freed memory for the next inference, which is faster and
        takes more of it. The other runtimes have no such choice and refuse False.
    spinning: whether ONNX Runtime's threads, with more than one, burn their cores for a while when
        they wait for work. That pays where inferences follow each other at once, and costs several
        times the processor time where a camera paces them.
    """

    cores: tuple[int, ...] | None = None
    arena: bool = True
    spinning: bool = True


def open_variant(bundle: Bundle, variant: str, threads: int = 1, host: Host = Host()) -> Runner:
    """Loads a bundle's variant in its runtime, with the options that it was compiled with.

    Args:
        threads: threads of an inference.

    Raises:
        BundleError: the bundle has no such variant, or it was compiled for something else than
            what is here.
        DamagedError: the runtime cannot load it, or it is not the model that the manifest tells of.
        MissingExtraError: the runtime is not installed.
        InputError: there is no GPU for it, or an option does not fit.
    """
    file = bundle.variant(variant)
    entry = bundle.manifest.variants[variant]
    if entry.runtime == "onnxruntime":
        runner = _open_onnxruntime(bundle, variant, file, threads, host)
    else:
        refuse_foreign(bundle, variant)
        if not host.arena:
            raise InputError(f"{entry.runtime} has no memory arena that could be switched off.")
        if host.cores is not None:
            stay_on(host.cores)
        runner = _other_runtime(bundle, variant, file, threads)
    return _refuse_other_tensors(bundle, runner)


def _open_onnxruntime(bundle: Bundle, variant: str, file: Path, threads: int, host: Host) -> Runner:
    from edgevit_runtimes.backends.onnxruntime_runner import (
        OnnxRuntimeRunner,
        Placement,
        Tuning,
        refuse_absent,
    )

    build = bundle.manifest.variants[variant].build
    placement = Placement.from_options(build.options if build else {})
    refuse_absent(placement)  # before its GPU is asked for
    refuse_foreign(bundle, variant)
    if host.cores is not None:
        stay_on(host.cores)
    tuning = Tuning(host.arena, host.spinning)
    return OnnxRuntimeRunner(file, threads, placement, tuning)


def _other_runtime(bundle: Bundle, variant: str, file: Path, threads: int) -> Runner:
    entry = bundle.manifest.variants[variant]
    options = entry.build.options if entry.build else {}
    if entry.runtime == "openvino":
        from edgevit_runtimes.backends.openvino_runner import OpenVinoRunner

        keep = options.get("keep_float32")
        return OpenVinoRunner(
            file,
            threads,
            str(options.get("precision", "f32")),
            entry.build is not None,
            None if keep is None else str(keep),
        )
    if entry.build is None:
        raise _not_compiled(bundle, variant)
    if entry.runtime == "tensorrt":
        return _open_engine(bundle, variant, file)
    from edgevit_runtimes.backends.native.native_runner import NativeRunner

    return NativeRunner(file, threads, bundle.manifest.inputs[0].shape[0])


def _not_compiled(bundle: Bundle, variant: str) -> InputError:
    runtime = bundle.manifest.variants[variant].runtime
    engine = {"tensorrt": "TensorRT engine"}.get(runtime, f"{runtime} engine")
    return InputError(
        f"'{variant}' is a model to build a {engine} from, not an engine. Build one: "
        f"edgevit compile {quote(str(bundle.path))} --target {runtime} --precision int8"
    )


def _open_engine(bundle: Bundle, variant: str, file: Path) -> Runner:
    """Reads the engine once, and loads what was hashed and nothing else."""
    from edgevit.common.tensorrt_library import find_tensorrt
    from edgevit_runtimes.backends.cuda import Cuda
    from edgevit_runtimes.backends.tensorrt_runner import TensorRTRunner

    build = bundle.manifest.variants[variant].build
    engine = file.read_bytes()
    digest = hashlib.sha256(engine).hexdigest()
    if digest != bundle.manifest.files[file.name].sha256:
        raise DamagedError(f"{file} is not the engine whose SHA-256 stands in the manifest.")
    cache = writable_cache("tensorrt_rtx")
    flavour = str(build.built_for.get("runtime", "")).partition(" ")[0] if build else ""
    return TensorRTRunner(
        engine,
        find_tensorrt(flavour or None),
        Cuda.open(),
        bool(build.options.get("cuda_graph", True)) if build else True,
        cache and cache / f"{digest[:16]}.cache",
    )


def open_reference(bundle: Bundle, threads: int = 1) -> Runner:
    """The float model in plain ONNX Runtime: what all other forms are compared with.

    Raises:
        DamagedError: it cannot be loaded, or is not the model that the manifest tells of.
    """
    runner = open_model(bundle.variant(), "onnxruntime", threads)
    return _refuse_other_tensors(bundle, runner)


def open_model(model: Path | bytes, runtime: str, threads: int = 1) -> Runner:
    """Loads an ONNX file, or its bytes, in a runtime by name; for what is no variant yet.

    In ONNX Runtime a Q/DQ model is computed as it is written: what another runtime will answer must
    not depend on how this processor adds up integers.

    Raises:
        DamagedError: the runtime cannot load it.
        MissingExtraError: the runtime is not installed.
        InputError: the runtime reads no ONNX.
    """
    if runtime == "onnxruntime":
        from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner, Tuning

        return OnnxRuntimeRunner(model, threads, tuning=Tuning(integer_products=False))
    if runtime == "openvino":
        from edgevit_runtimes.backends.openvino_runner import OpenVinoRunner

        return OpenVinoRunner(model, threads)
    raise InputError(
        f"{runtime} runs engines, not ONNX files, and only those of a bundle: edgevit compile "
        f"BUNDLE --target {runtime} builds one."
    )


def stay_on(cores: Iterable[int]) -> None:
    """Keeps the calling thread, and every thread that it starts, on some processors.

    Raises:
        InputError: the process may not use one of them.
    """
    os.sched_setaffinity(0, refuse_cores(cores))


def refuse_cores(cores: Iterable[int]) -> set[int]:
    """The processors, if this process may use them; else raises InputError."""
    wanted, usable = set(cores), os.sched_getaffinity(0)
    if not wanted or wanted - usable:
        raise InputError(
            f"--cores names {sorted(wanted)}; this process may use {sorted(usable)}. Name some of "
            "those."
        )
    return wanted


def _refuse_other_tensors(bundle: Bundle, runner: Runner) -> Runner:
    """Whatever the runtime, a bundle's model takes and gives what its manifest says."""
    manifest = bundle.manifest
    if _match(runner.inputs, manifest.inputs) and _match(runner.outputs, manifest.outputs):
        return runner
    inputs, outputs = (", ".join(map(str, specs)) for specs in (runner.inputs, runner.outputs))
    runner.close()
    raise DamagedError(
        f"{bundle.path}: the model has inputs {inputs} and outputs {outputs}, but the manifest "
        "says otherwise. Export it again."
    )


def _match(given: tuple[TensorSpec, ...], expected: tuple[TensorSpec, ...]) -> bool:
    """The names of dynamic dimensions are the exporter's own; runtimes have others, or none."""
    return len(given) == len(expected) and all(
        one.matches(other) for one, other in zip(given, expected, strict=True)
    )
