"""The native superpixel kernels for ONNX Runtime: built on this machine, for this machine.

Where a C++ compiler and ONNX Runtime's headers are (Debian 13: ``apt install g++
libonnxruntime-dev``), ``edgevit kernel`` builds ``native/superpixel_kernels.cc`` once, and every
session then uses it in place of the op's function body, with the same bits as the result. Without
it the body runs: nothing is missing but speed.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from edgevit.common.errors import InputError
from edgevit.common.installed import distribution
from edgevit.common.storage.cache import cache_folder, writable_cache
from edgevit.common.storage.files import write_atomically

SOURCE = Path(__file__).parent / "native" / "superpixel_kernels.cc"
HEADER = "onnxruntime_cxx_api.h"
HEADERS_VARIABLE = "ORT_INCLUDE_DIR"
_HEADER_FOLDERS = (
    Path("/usr/include/onnxruntime"),
    Path("/usr/local/include/onnxruntime"),
    Path("/usr/include/onnxruntime/core/session"),
    Path("/usr/local/include"),
)
_COMPILERS = ("c++", "g++", "clang++")
_FLAGS = (
    "-std=c++17",
    "-O3",
    "-march=native",
    "-ffp-contract=off",  # a fused multiply-add would round differently from the body
    "-fopenmp-simd",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fPIC",
    "-shared",
    "-fvisibility=hidden",
)


def library() -> Path | None:
    """The kernels built for this source, processor and ONNX Runtime, if they are."""
    try:
        path = _library_path()
        return path if path.is_file() else None
    except (OSError, InputError):  # no home, or one that cannot be read: nothing was built there
        return None


def build() -> Path:
    """Compiles the kernels into the user's cache.

    Raises:
        InputError: there is no compiler or no header, or compiling failed.
    """
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise InputError(
            f"No C++ compiler found (looked for {', '.join(_COMPILERS)}). "
            "Install one, for example: apt install g++"
        )
    command = [compiler, *_FLAGS, f"-I{_headers()}", str(SOURCE)]
    if writable_cache() is None:
        raise InputError(
            "There is no folder of yours to keep the kernels in. Name one: XDG_CACHE_HOME=FOLDER"
        )
    target = _library_path()
    write_atomically(target, lambda aside: _compile([*command, "-o", str(aside)]))
    return target


def remove() -> Path | None:
    """Deletes what was built; the function body runs again."""
    path = library()
    if path is not None:
        path.unlink()
    return path


def _compile(command: list[str]) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        first = next(
            (line for line in finished.stderr.splitlines() if "error" in line), finished.stderr
        )
        raise InputError(f"Compiling {SOURCE.name} failed: {first.strip()}")


def _headers() -> Path:
    """The folder that holds ONNX Runtime's C++ header."""
    given = os.environ.get(HEADERS_VARIABLE)
    folders = (Path(given),) if given else _HEADER_FOLDERS
    for folder in folders:
        if (folder / HEADER).is_file():
            return folder
    raise InputError(
        f"ONNX Runtime's header {HEADER} was not found in {', '.join(map(str, folders))}. "
        "Install it (Debian 13: apt install libonnxruntime-dev), or name its folder in "
        f"{HEADERS_VARIABLE}."
    )


def _library_path() -> Path:
    """One file for everything that the machine code depends on."""
    processor = _processor_flags()
    identity = (
        SOURCE.read_text(),
        _FLAGS,
        platform.machine(),
        processor,
        distribution("onnxruntime")[1],
    )
    key = hashlib.sha256(repr(identity).encode()).hexdigest()[:16]
    return cache_folder() / f"superpixel_kernels-{key}.so"


def _processor_flags() -> str:
    """What ``-march=native`` looks at; a home folder may be shared between machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(sorted({line for line in lines if line.startswith(wanted)}))
