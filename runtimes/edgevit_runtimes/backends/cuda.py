"""CUDA's runtime through NVIDIA's own ``cuda-python``: memory, a stream, events, graphs.

Every call of it gives an error code first; :meth:`Cuda.call` turns one into an exception.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct

from edgevit.common.errors import CheckFailedError, InputError, MissingExtraError

_MODULE = "cuda.bindings.runtime"
_DRIVER_FILE = Path("proc/driver/nvidia/version")


class Gpu(Struct, frozen=True):
    """driver: the version of CUDA that the driver brings, and its own where the system says it."""

    name: str
    capability: str
    driver: str


class Cuda:
    """The CUDA runtime of this process, on its first GPU.

    Args:
        runtime: the module ``cuda.bindings.runtime``, or what stands in for it in a test.
    """

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime

    @classmethod
    def open(cls) -> Cuda:
        """Imports it and looks for a GPU.

        Raises:
            MissingExtraError: cuda-python is not installed.
            InputError: there is no GPU, or no driver for it.
        """
        if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
            raise MissingExtraError("using the GPU", _MODULE, "cuda")
        cuda = cls(importlib.import_module(_MODULE))
        cuda._refuse_without_gpu()
        return cuda

    def _refuse_without_gpu(self) -> None:
        error, count = self.runtime.cudaGetDeviceCount()
        if self._failed(error):
            raise InputError(
                f"No NVIDIA GPU can be used here: {self._told(error)}. A TensorRT engine needs one "
                "to run, and to be built for the GPU that is here. Without one, build ahead of "
                "time (edgevit compile --target tensorrt --capability 8.6), or use --target "
                "onnxruntime or openvino."
            )
        if not count:
            raise InputError("No NVIDIA GPU is visible here. Is CUDA_VISIBLE_DEVICES empty?")

    def call(self, name: str, *arguments: Any) -> Any:
        """Calls ``cudaNAME`` and gives what comes after its error code.

        Raises:
            CheckFailedError: it failed; says which call and why.
        """
        error, *results = getattr(self.runtime, f"cuda{name}")(*arguments)
        if self._failed(error):
            raise CheckFailedError(f"CUDA failed in cuda{name}: {self._told(error)}.")
        return results[0] if results else None

    def _failed(self, error: Any) -> bool:
        return bool(error != self.runtime.cudaError_t.cudaSuccess)

    def _told(self, error: Any) -> str:
        _, text = self.runtime.cudaGetErrorString(error)
        return text.decode() if isinstance(text, bytes) else str(text)

    def gpu(self, root: Path = Path("/")) -> Gpu:
        """What the first GPU is."""
        facts = self.call("GetDeviceProperties", 0)
        name = facts.name.decode() if isinstance(facts.name, bytes) else str(facts.name)
        number = int(self.call("DriverGetVersion"))
        driver = f"CUDA {number // 1000}.{number % 1000 // 10}"
        own = _driver_version(root / _DRIVER_FILE)
        return Gpu(
            name.rstrip("\0"), f"{facts.major}.{facts.minor}", f"{driver}, {own}" if own else driver
        )


def _driver_version(file: Path) -> str | None:
    """The number in ``NVRM version: NVIDIA UNIX ... 560.28.03  Thu Jul ...``."""
    try:
        words = file.read_text(errors="replace").split()
    except OSError:
        return None
    numbers = [word for word in words if word[:1].isdigit() and word.count(".") in (1, 2)]
    return numbers[0] if numbers else None
