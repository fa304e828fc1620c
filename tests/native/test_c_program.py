"""examples/c: built with the C compiler that is here, it answers as the engine in Python."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.registry import find
from edgevit_export.native.compile_native import compile_native
from edgevit_runtimes.backends.native.native_library import library_path
from edgevit_runtimes.backends.native.native_runner import NativeRunner
from support.models.c_example import build_example, ppm, refusal
from support.models.exported_models import exported_model
from support.needs import need_tool

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "examples" / "c" / "classify.c"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_tool("native-engine")
    need_tool("c++")
    folder = tmp_path_factory.mktemp("c")
    library = shutil.copy(library_path(), folder / "libedgevit.so")
    return build_example(SOURCE, ROOT / "runtimes" / "native" / "include", library)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("model") / "model.native"
    file.write_bytes(compile_native(exported_model("lla_micro")))
    return file


def test_it_answers_as_the_engine_in_python(
    program: Path, model: Path, photos: list[Image], tmp_path: Path
) -> None:
    size = Preprocess(find("lla_micro").spec.image_px)
    picture = image_io.batch(photos[:1], size)
    with NativeRunner(model) as runner:
        logits = runner.infer({"image": picture})["logits"][0]
    names = tmp_path / "classes.txt"
    names.write_text("".join(f"class number {i}\n" for i in range(len(logits))))
    command = [program, model, ppm(picture[0], tmp_path / "photo.ppm"), names]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    best = int(logits.argmax())
    assert finished.stdout.startswith(f"class {best} class number {best}, logit ")
    assert f"logit {logits[best]:.3f} (" in finished.stdout


def test_a_larger_picture_is_shrunk(
    program: Path, model: Path, photos: list[Image], tmp_path: Path
) -> None:
    plain = np.full((300, 500, 3), 90, np.uint8)
    small = np.full((64, 64, 3), 90, np.uint8)
    answers = [
        subprocess.run([program, model, file], check=True, capture_output=True).stdout
        for file in (ppm(plain, tmp_path / "large.ppm"), ppm(small, tmp_path / "small.ppm"))
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"P6\n10 10\n255\n123", "cut off"), (b"GIF89a", "no binary PPM"), (b"", "no binary PPM")],
)
def test_a_bad_picture_is_one_line_and_exit_code_2(
    content: bytes, reason: str, program: Path, model: Path, tmp_path: Path
) -> None:
    file = tmp_path / "bad.ppm"
    file.write_bytes(content)
    said = refusal(program, model, file)
    assert reason in said
    assert said.count("\n") == 1


def test_a_file_that_is_no_model_is_refused(program: Path, tmp_path: Path) -> None:
    file = tmp_path / "other"
    file.write_bytes(b"something else" * 20)
    assert "does not begin with EDGEVIT" in refusal(program, file, file)
