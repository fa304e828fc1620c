"""examples/onnxruntime_c: built with ONNX Runtime's C headers, it answers as edgevit does."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from support.models.c_example import build_example, ppm, refusal
from support.needs import ONNXRUNTIME_HEADERS, need_tool

MODEL = PREBUILT_BUNDLE / "model.onnx"
SOURCE = Path(__file__).parents[2] / "examples" / "onnxruntime_c" / "classify.c"


def library() -> Path:
    """The C library inside the wheel of ONNX Runtime that is installed here."""
    spec = find_spec("onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    return next((Path(spec.origin).parent / "capi").glob("libonnxruntime.so.*"))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_tool("onnxruntime-headers")
    need_tool("c++")
    folder = tmp_path_factory.mktemp("onnxruntime_c")
    linked = shutil.copy(library(), folder / "libonnxruntime.so.1")
    return build_example(SOURCE, ONNXRUNTIME_HEADERS, linked)


def test_it_answers_as_onnx_runtime_in_python(
    program: Path, photos: list[Image], tmp_path: Path
) -> None:
    picture = image_io.batch(photos[:1], Bundle.open(PREBUILT_BUNDLE).manifest.preprocess)
    with OnnxRuntimeRunner(MODEL) as runner:
        logits = runner.infer({"image": picture})["logits"][0]
    command = [program, MODEL, ppm(picture[0], tmp_path / "photo.ppm")]
    finished = subprocess.run(command, check=True, capture_output=True, text=True)
    best = int(logits.argmax())
    assert finished.stdout == f"class {best}, logit {logits[best]:.3f}\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"P6\n160 160\n255\n123", "cut off"),
        (b"P6\n10 10\n255\n123", "not 160 x 160 pixels"),
        (b"GIF89a", "no binary PPM"),
    ],
)
def test_a_bad_picture_is_one_line_and_exit_code_2(
    content: bytes, reason: str, program: Path, tmp_path: Path
) -> None:
    file = tmp_path / "bad.ppm"
    file.write_bytes(content)
    said = refusal(program, MODEL, file)
    assert reason in said
    assert said.count("\n") == 1


def test_a_file_that_is_no_model_is_refused(program: Path, tmp_path: Path) -> None:
    file = tmp_path / "other"
    file.write_bytes(b"something else" * 20)
    assert "Protobuf parsing failed" in refusal(program, file, file)


def test_it_is_an_example_and_no_more() -> None:
    assert len(SOURCE.read_text(encoding="utf-8").splitlines()) < 80
