"""Two programs for arm64 that answer one picture several times: our engine, and ONNX Runtime."""

from __future__ import annotations

import importlib.util
import runpy
import subprocess
import sys
import zipfile
from pathlib import Path

from edgevit.common.errors import InputError

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
_NATIVE = ROOT / "runtimes" / "native"
_STATIC = "aarch64-linux-musl"  # a program of one file, without libraries
_DYNAMIC = "aarch64-linux-gnu.2.28"  # what ONNX Runtime's wheel is built for
_HEADERS = [Path(prefix, "include/onnxruntime") for prefix in ("/usr", "/usr/local")]
FETCHING = (
    "pip download onnxruntime --no-deps --only-binary=:all: --python-version 3.11 "
    "--platform manylinux_2_28_aarch64"
)


def native_program(folder: Path) -> Path:
    """``answers_native.c`` with libedgevit, compiled by Zig as the wheels for arm64 are.

    Raises:
        InputError: Zig is missing.
    """
    zig = _zig()
    build = runpy.run_path(str(_NATIVE / "build.py"))
    objects, _ = build["compile_objects"](folder, _STATIC)
    main, target = folder / "answers_native.o", folder / "answers_native"
    source, include = HERE / "answers_native.c", f"-I{_NATIVE / 'include'}"
    _run([*zig, "cc", "-target", _STATIC, "-O2", include, "-c", str(source), "-o", str(main)])
    _run([*zig, "c++", "-target", _STATIC, "-static", *objects, str(main), "-o", str(target)])
    return target


def onnxruntime_program(folder: Path) -> Path:
    """``answers_onnxruntime.c``, which loads ONNX Runtime when it runs.

    Raises:
        InputError: Zig or ONNX Runtime's C headers are missing.
    """
    zig = _zig()
    headers = next((path for path in _HEADERS if (path / "onnxruntime_c_api.h").exists()), None)
    if headers is None:
        raise InputError(
            "ONNX Runtime's C headers are missing: apt-get install libonnxruntime-dev (Debian 13), "
            "or as root .ci/onnxruntime-headers"
        )
    source, target = HERE / "answers_onnxruntime.c", folder / "answers_onnxruntime"
    options = ["-target", _DYNAMIC, "-O2", f"-I{headers}", "-o", str(target)]
    _run([*zig, "cc", *options, str(source), "-ldl"])
    return target


def onnxruntime_library(wheel: Path, folder: Path) -> Path:
    """The library of ONNX Runtime's wheel for aarch64, taken out of it.

    Raises:
        InputError: there is no such wheel, or it is another.
    """
    if not wheel.name.endswith("aarch64.whl") or not wheel.is_file():
        raise InputError(f"{wheel} is no wheel for aarch64. {FETCHING}")
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if "/capi/libonnxruntime.so" in name]
        if not names:
            raise InputError(f"{wheel} has no libonnxruntime.so. {FETCHING}")
        return Path(archive.extract(names[0], folder))


def _zig() -> list[str]:
    if importlib.util.find_spec("ziglang") is None:
        raise InputError(f"Zig is missing: {sys.executable} -m pip install ziglang")
    return [sys.executable, "-m", "ziglang"]


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True)
