"""Runs under a device's own Python 3, before edgevit is there: says what is there, installs.

It is sent over standard input, imports nothing but the standard library, and must stay readable
for Python 3.6, so that an old one can say that it is too old. Prints JSON lines behind a marker.
"""

import importlib.util
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

MARK = "edgevit: "
NEEDED = [
    "msgspec>=0.19,<1",
    "numpy>=1.26,<3",
    "onnxruntime>=1.18,<2",
    "rich>=13,<16",
    "typer>=0.12,<0.29",
]
NEEDED_BEFORE_3_11 = ["tomli>=2,<3"]
# The page of a camera, and videos: extras "serve" and "video".
FOR_A_CAMERA = ["aiohttp>=3.11,<4", "prometheus-client>=0.20,<1", "av>=14,<20"]
# TensorRT engines, by the major version of the CUDA that the device has: extra "cuda".
FOR_CUDA = {"12": "cuda-bindings>=12.8,<13", "13": "cuda-bindings>=13,<14"}
OPENCV = "opencv-python-headless>=4.8,<6"
# An OpenCV built for NumPy 1 cannot be imported with NumPy 2, and brings no metadata that says so.
NUMPY_OF_OLD_OPENCV = "numpy>=1.26,<2"
CUDA_VERSION = Path("/usr/local/cuda/version.json")
_KEPT = ("cv2", "onnxruntime", "tensorrt")


def say(content: Dict[str, Any]) -> None:
    print(MARK + json.dumps(content), flush=True)


def facts(folder: Path) -> Dict[str, Any]:
    """What setup and check want to know."""
    there = next(place for place in [folder, *folder.parents] if place.is_dir())
    return {
        "python": platform.python_version(),
        "architecture": platform.machine(),
        "has_venv": all(map(importlib.util.find_spec, ("ensurepip", "venv"))),
        "free_mib": shutil.disk_usage(str(there)).free >> 20,
        "cuda": cuda_version(),
    }


def cuda_version() -> Optional[str]:
    """Of the CUDA that JetPack, or NVIDIA's package, installed; such as 12.6.11."""
    try:
        return str(json.loads(CUDA_VERSION.read_text())["cuda"]["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def install(folder: Path, wheel: str, offline: bool) -> None:
    """Makes or renews the virtual environment; what the system has is used, not covered up."""
    python = folder / "venv" / "bin" / "python"
    kept = {name: found(sys.executable, name) for name in _KEPT}
    make = [sys.executable, "-m", "venv", "--system-site-packages", str(folder / "venv")]
    subprocess.check_call(make)
    source = ["--no-index", "--find-links", str(folder / "wheels")] if offline else []
    pip = [str(python), "-m", "pip", "install", "--disable-pip-version-check", *source]
    stream([*pip, *requirements(kept)])
    without = [need for need in extras(cuda_version()) if not try_to([*pip, need])]
    stream([*pip, "--no-deps", "--force-reinstall", str(folder / wheel)])
    covered = [name for name in _KEPT if kept[name] and found(str(python), name) != kept[name]]
    say({"installed": True, "kept": kept, "covered": covered, "without": without})


def found(python: str, module: str) -> Optional[List[str]]:
    """[version, where] of a module, as a fresh process imports it; None if it cannot."""
    code = "import {} as m; print(m.__version__, m.__file__)".format(module)
    try:
        said = subprocess.check_output([python, "-c", code], stderr=subprocess.DEVNULL, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    return said.decode(errors="replace").split(None, 1)


def requirements(kept: Dict[str, Optional[List[str]]]) -> Iterator[str]:
    """What pip is to bring: not OpenCV nor ONNX Runtime where the system's own is to be used."""
    old_opencv = kept["cv2"] is not None and _is_before_numpy_2(kept["cv2"][0])
    for need in NEEDED:
        if need.startswith("numpy") and old_opencv:
            yield NUMPY_OF_OLD_OPENCV
        elif not need.startswith("onnxruntime") or kept["onnxruntime"] is None:
            yield need
    if sys.version_info < (3, 11):
        yield from NEEDED_BEFORE_3_11
    if kept["cv2"] is None:
        yield OPENCV


def extras(cuda: Optional[str]) -> List[str]:
    """What a camera's page and TensorRT need beside; edgevit works without."""
    fitting = FOR_CUDA.get((cuda or "").split(".")[0])
    return [*FOR_A_CAMERA, *([fitting] if fitting else [])]


def _is_before_numpy_2(version: str) -> bool:
    """OpenCV from 4.10 on was built for both."""
    return [int(part) for part in re.findall(r"\d+", version)[:2]] < [4, 10]


def stream(command: List[str]) -> None:
    """Runs a command and passes its lines on; its failure is ours."""
    last = run_and_say(command)
    if last is not None:
        say({"failed": last})
        sys.exit(1)


def try_to(command: List[str]) -> bool:
    """The same for what edgevit can do without."""
    return run_and_say(command) is None


def run_and_say(command: List[str]) -> Optional[str]:
    """Passes the lines of a command on; gives the last one if it failed."""
    say({"line": " ".join(command[1:])})
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    last = ""
    for raw in process.stdout:
        last = raw.decode(errors="replace").rstrip()
        say({"line": last})
    return last if process.wait() else None


def main() -> None:
    job = json.loads(sys.argv[1])
    folder = Path(job["folder"]).absolute()
    if job["verb"] == "facts":
        say(facts(folder))
    else:
        install(folder, job["wheel"], job["offline"])


if __name__ == "__main__":
    main()
