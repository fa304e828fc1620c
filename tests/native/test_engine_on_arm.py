"""libedgevit compiled for arm64 by Zig, emulated by QEMU: the answers of this machine.

``make test-arm64`` runs it.
"""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.registry import find
from edgevit_export.native.compile_native import compile_native
from edgevit_runtimes.backends.native.native_runner import NativeRunner
from support.models.exported_models import exported_model
from support.models.quantized_models import quantized_natively

pytestmark = pytest.mark.arm64

ROOT = Path(__file__).parents[2]
NATIVE = ROOT / "runtimes" / "native"
QEMU = "qemu-aarch64-static"
ZIG = [sys.executable, "-m", "ziglang"]
TARGET = "aarch64-linux-musl"  # a program of one file, without libraries


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which(QEMU) is None:
        pytest.fail(f"{QEMU} is missing: apt-get install qemu-user-static")
    folder = tmp_path_factory.mktemp("arm")
    build = runpy.run_path(str(NATIVE / "build.py"))
    objects, _ = build["compile_objects"](folder, TARGET)
    example = folder / "classify.o"
    source, include = ROOT / "examples" / "c" / "classify.c", f"-I{NATIVE / 'include'}"
    compiler = [*ZIG, "cc", "-target", TARGET]
    subprocess.run([*compiler, include, "-c", source, "-o", example], check=True)
    target = folder / "classify"
    linker = [*ZIG, "c++", "-target", TARGET, "-static"]
    subprocess.run([*linker, *objects, example, "-o", target], check=True)
    return target


@pytest.mark.parametrize(
    ("processor", "isa"), [("max", "neon-dot"), ("cortex-a76", "neon-dot"), ("cortex-a72", "neon")]
)
@pytest.mark.parametrize("form", ["float", "int8"])
@pytest.mark.parametrize("name", ["lla_micro", "lavit_tiny_32"])
def test_it_answers_as_here(
    name: str,
    processor: str,
    isa: str,
    form: str,
    program: Path,
    photos: list[Image],
    tmp_path: Path,
) -> None:
    pictures = image_io.batch(photos[:2], Preprocess(find(name).spec.image_px))
    model = exported_model(name)
    plan = compile_native(model if form == "float" else quantized_natively(model, pictures))
    file = tmp_path / "model.native"
    file.write_bytes(plan)
    with NativeRunner(file) as runner:
        logits = runner.infer({"image": pictures[:1]})["logits"][0]
    height, width, _ = pictures[0].shape
    photo = tmp_path / "photo.ppm"
    photo.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + pictures[0].tobytes())
    command = [QEMU, "-cpu", processor, program, file, photo]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    best = int(logits.argmax())
    assert finished.stdout == f"class {best} , logit {logits[best]:.3f} ({isa})\n"
