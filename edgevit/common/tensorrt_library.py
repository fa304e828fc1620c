"""TensorRT in whichever flavour is installed: ``tensorrt`` (10.3 to 11.x) or ``tensorrt_rtx``.

Both have the same Python interface. It is imported when it is asked for, never before.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from msgspec import Struct

from edgevit.common.errors import InputError, MissingExtraError

FULL, RTX = "tensorrt", "tensorrt_rtx"
OLDEST = (10, 3)  # JetPack 6; before it, explicit Q/DQ and typed graphs are not all there
_MOST_ERRORS = 3
_JETSON_RELEASE = Path("/etc/nv_tegra_release")


class TensorRT(Struct, frozen=True):
    """One of the two flavours, imported."""

    name: str
    module: Any

    @property
    def version(self) -> str:
        return str(self.module.__version__)

    @property
    def label(self) -> str:
        """Flavour and version: what an engine depends on."""
        return f"{self.name} {self.version}"

    @property
    def is_rtx(self) -> bool:
        return self.name == RTX

    def collecting_log(self) -> Any:
        """A logger for its calls that keeps errors instead of printing them: ``told()``."""
        trt = self.module

        class Log(trt.ILogger):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)
                self.errors: list[str] = []

            def log(self, severity: Any, message: str) -> None:
                if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                    self.errors.append(message.strip())

            def told(self) -> str:
                latest = dict.fromkeys(self.errors[-_MOST_ERRORS:])
                return "; ".join(latest) or "it does not say why"

        return Log()


def find_tensorrt(flavour: str | None = None) -> TensorRT:
    """The flavour that was asked for, or TensorRT proper before TensorRT-RTX.

    Raises:
        MissingExtraError: it is not installed; says what installs it on this machine.
        InputError: it is older than 10.3, or its libraries cannot be loaded.
    """
    wanted = (flavour,) if flavour else (FULL, RTX)
    for name in wanted:
        if find_spec(name) is not None:
            return _refuse_old(TensorRT(name, _imported(name)))
    if _JETSON_RELEASE.exists():
        raise InputError(
            f"TensorRT needs the Python module '{FULL}', which JetPack brings and pip does not. "
            "Install it with: sudo apt install python3-libnvinfer-dev, and make the virtual "
            "environment with: python3 -m venv --system-site-packages"
        )
    raise MissingExtraError("TensorRT", wanted[-1], "tensorrt")


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:  # its shared libraries are missing or do not match
        raise InputError(
            f"The Python module '{name}' is there but cannot be loaded: {error}. Install it again, "
            "with the CUDA version that this machine has."
        ) from error


def _refuse_old(tensorrt: TensorRT) -> TensorRT:
    numbers = tuple(int(part) for part in tensorrt.version.split(".")[:2])
    if tensorrt.name == FULL and numbers < OLDEST:
        raise InputError(
            f"TensorRT {tensorrt.version} is older than {'.'.join(map(str, OLDEST))} (JetPack 6), "
            "the oldest that edgevit builds for. Upgrade it, or use --target onnxruntime."
        )
    return tensorrt
