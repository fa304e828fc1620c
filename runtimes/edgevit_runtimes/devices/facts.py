"""What a compiled variant may depend on: the runtime's version, this processor, this GPU."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from shlex import quote

from msgspec import Struct

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import BundleError, EdgevitError
from edgevit.common.installed import distribution
from edgevit.common.tensorrt_library import find_tensorrt
from edgevit_runtimes.backends.cuda import Cuda
from edgevit_runtimes.backends.native.native_library import is_usable
from edgevit_runtimes.devices import arm64, x86
from edgevit_runtimes.devices.target import NATIVE_TARGET, this_target
from edgevit_runtimes.devices.tree import Tree

_CPU = "cpu"
# edgevit 0.1 could compile with native kernels in their place: what holds those cannot be opened.
_SUPERPIXELS = "function bodies"


class Compiling(Struct, frozen=True):
    """Which facts matter: those of a GPU that is here, or of a named capability; a provider."""

    capability: str | None = None
    provider: str = _CPU


def built_for(runtime: str, compiling: Compiling) -> dict[str, str]:
    """What must be so where an artefact that is compiled here is opened.

    Raises:
        MissingExtraError, InputError: the runtime or the GPU is not here.
    """
    return _FACTS[runtime](compiling)


def _onnxruntime(compiling: Compiling) -> dict[str, str]:
    facts = {"runtime": " ".join(distribution("onnxruntime"))}
    if compiling.provider != _CPU:
        return facts | {"gpu": Cuda.open().gpu().name}
    return facts | {
        "processor": processor(),
        "instruction sets": _instruction_sets(),
        "superpixels": _SUPERPIXELS,
    }


def _openvino(compiling: Compiling) -> dict[str, str]:
    del compiling
    return {}  # the file opens anywhere; OpenVINO's own cache knows what it depends on


def _native(compiling: Compiling) -> dict[str, str]:
    del compiling
    return {}  # the file opens anywhere; the engine chooses its kernels when it does


def _tensorrt(compiling: Compiling) -> dict[str, str]:
    if compiling.capability is not None:
        tensorrt = find_tensorrt("tensorrt_rtx")
        return {"runtime": tensorrt.label, "compute capability": compiling.capability}
    tensorrt = find_tensorrt()
    gpu = Cuda.open().gpu()
    return {
        "runtime": tensorrt.label,
        "compute capability": gpu.capability,
        "gpu": gpu.name,
        "driver": gpu.driver,
    }


_FACTS: Mapping[str, Callable[[Compiling], dict[str, str]]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "tensorrt": _tensorrt,
    "native": _native,
}


def refuse_foreign(bundle: Bundle, name: str) -> None:
    """Refuses a variant that was compiled for something else than what is here.

    Raises:
        BundleError: says what differs, and the command that compiles it here.
        MissingExtraError, InputError: its runtime or GPU is not here.
    """
    variant = bundle.manifest.variants[name]
    if variant.build is None or not variant.build.built_for:
        return
    from edgevit.bundle.compiled import differences

    wanted = variant.build.built_for
    found = differences(wanted, _here(variant.runtime, wanted, variant.build.options))
    if found:
        raise BundleError(
            f"{bundle.path}: '{name}' does not fit this machine: {'; '.join(found)}. Compile it "
            f"here: edgevit compile {quote(str(bundle.path))} --target {variant.runtime}"
        )


def _here(runtime: str, wanted: Mapping[str, str], options: Mapping[str, object]) -> dict[str, str]:
    """The facts of this machine that an artefact names."""
    if runtime != "tensorrt":
        provider = str(options.get("provider", _CPU))
        return built_for(runtime, Compiling(provider=provider))
    flavour = wanted.get("runtime", "").partition(" ")[0]
    gpu = Cuda.open().gpu()
    facts = {
        "runtime": find_tensorrt(flavour or None).label,
        "compute capability": gpu.capability,
        "gpu": gpu.name,
        "driver": gpu.driver,
    }
    return {key: facts[key] for key in wanted if key in facts}


def machine_label() -> str:
    """One name for this machine: its processor and, where there is one, its GPU."""
    try:
        return f"{processor()}, {Cuda.open().gpu().name}"
    except EdgevitError:  # no GPU, or nothing to ask it with
        return processor()


def processor() -> str:
    is_arm = platform.machine() in ("aarch64", "arm64")
    found = arm64.processor(Tree()) if is_arm else x86.describe().processor
    return found or platform.processor() or platform.machine()


def _instruction_sets() -> str:
    is_arm = platform.machine() in ("aarch64", "arm64")
    found = arm64.instruction_sets(Tree()) if is_arm else x86.describe().instruction_sets
    return " ".join(found) or "none known"


def chosen_here(bundle: Bundle) -> str:
    """The variant to use on this machine: what was measured here, or else by kind of machine.

    What is chosen for the native engine goes first, where that engine is installed.
    """
    manifest = bundle.manifest
    machine = machine_label() if manifest.machines else None
    native = [NATIVE_TARGET] if NATIVE_TARGET in manifest.chosen and is_usable() else []
    return bundle.chosen([*native, this_target()], machine)


def fallback_note(bundle: Bundle) -> str | None:
    """What to say where a bundle's choice for the native engine cannot be loaded here.

    None where it can, and where another variant was chosen by measuring on this machine.
    """
    manifest = bundle.manifest
    wanted = manifest.chosen.get(NATIVE_TARGET)
    measured = manifest.machines and machine_label() in manifest.machines
    if wanted is None or measured or is_usable():
        return None
    return (
        f"the native engine cannot be loaded here, so '{chosen_here(bundle)}' answers in place of "
        f"'{wanted}'; 'edgevit doctor' says what is missing"
    )
