"""Memory and start of whole processes: the C example, and Python with the engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import cv2

from edgevit.bundle.bundle import Bundle
from edgevit.images import image_io

ROOT = Path(__file__).parents[2]
_STARTS = 15
_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"  # with it every start compiles edgevit anew
_PEAK = "print(int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1024)"
_ENGINE = """
from pathlib import Path
import numpy as np
from edgevit_runtimes.backends.native.native_library import NativeModel
model = NativeModel(Path({file!r}))
facts = model.info
picture = np.zeros((facts.height, facts.width, 3), np.uint8)
logits = np.empty(facts.classes, np.float32)
model.run(picture.ctypes.data, logits.ctypes.data)
"""


def memory_and_start(bundle: Path, folder: Path) -> dict[str, str]:
    """Peaks of resident memory, and medians of 15 starts with a warm page cache."""
    model = Bundle.open(bundle).variant("native-int8")
    program, picture = _program(folder), _picture(folder)
    command = [str(program), str(model), str(picture)]
    peak, (start,) = _peak_mib(command, folder), _medians_ms(command)
    bare = _python("import numpy")
    engine = _python(_ENGINE.format(file=str(model)))
    runtime = _python("import numpy, onnxruntime")
    run = [sys.executable, "-m", "edgevit", "run", str(bundle), str(folder / "picture.png")]
    forms = ([*run, "--variant", name] for name in ("native-int8", "float"))
    native, plain = _medians_ms(*forms)
    return {
        "C program, peak MiB": f"{peak:.1f}",
        "C program, start to answer, ms": f"{start:.1f}",
        "Python with numpy, peak MiB": f"{bare:.1f}",
        "... and the engine, one answer": f"+{engine - bare:.1f}",
        "... and onnxruntime, imported only": f"+{runtime - bare:.1f}",
        "edgevit run, native-int8, ms": f"{native:.0f}",
        "edgevit run, ONNX Runtime float, ms": f"{plain:.0f}",
    }


def _program(folder: Path) -> Path:
    """``examples/c/classify``, built as a C user builds it."""
    build = folder / "cmake"
    source = ROOT / "runtimes" / "native"
    for command in (
        ["cmake", "-S", str(source), "-B", str(build)],
        ["cmake", "--build", str(build)],
    ):
        subprocess.run(command, check=True, capture_output=True)
    return build / "classify"


def _picture(folder: Path) -> Path:
    photo = folder / "photos" / "coffee.png"
    shutil.copy(photo, folder / "picture.png")
    target = folder / "picture.ppm"
    cv2.imwrite(str(target), cv2.cvtColor(image_io.read(photo), cv2.COLOR_RGB2BGR))
    return target


def _peak_mib(command: list[str], folder: Path) -> float:
    """Of a program that a small program starts; peak.c says why."""
    measure = folder / "peak"
    subprocess.run(["cc", str(Path(__file__).with_name("peak.c")), "-o", str(measure)], check=True)
    ended = subprocess.run([str(measure), *command], check=True, capture_output=True, text=True)
    return int(ended.stdout) / 1024


def _python(code: str) -> float:
    """Peak of a fresh process, in MiB."""
    command = [sys.executable, "-c", f"{code}\n{_PEAK}"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _medians_ms(*commands: list[str]) -> list[float]:
    """Of whole processes, started in turn: what disturbs one disturbs the others."""
    times: list[list[float]] = [[] for _ in commands]
    environment = {name: value for name, value in os.environ.items() if name != _NO_BYTECODE}
    for command in commands:  # once before: Python compiles what it imports
        subprocess.run(command, check=True, capture_output=True, env=environment)
    for _ in range(_STARTS):
        for place, command in enumerate(commands):
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=environment)
            times[place].append((time.perf_counter() - started) * 1000)
    return [median(each) for each in times]
