"""Hostile files of every kind: an answer or one clear error. ``make fuzz`` goes on for longer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import onnx
import pytest
from msgspec.structs import replace

from edgevit.bundle.bundle import Build, Bundle
from edgevit.bundle.edit import edit
from edgevit.common.errors import (
    BundleError,
    CheckpointError,
    DamagedError,
    EdgevitError,
    InputError,
)
from edgevit.common.progress import SilentProgress
from edgevit.common.untrusted.parsers import parsing
from edgevit.inference.calibration import Pictures
from edgevit.models.checkpoint import read_checkpoint
from edgevit.zoo.tasks import LOGITS
from edgevit_export.inspect.expose import exposed, inner_tensors
from edgevit_export.inspect.work import product_work
from edgevit_export.quantize.precision import layer_precisions
from edgevit_export.quantize.quantize_pipeline import quantize_bundle
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from edgevit_runtimes.remote.pending import read_pending, state_folder
from support import ROOT
from support.fuzzing import documents, stored_arrays
from support.fuzzing.sandbox import Subject, outcome_of
from support.fuzzing.small_bundle import put_file, small_bundle, small_model
from support.processes import python
from support.quantize_requests import quantize_request

INPUTS = 60
SLOW_INPUTS = 3
MODEL_INPUTS = 2
DEEPEST = 5000  # lists within each other; Python's parser of JSON goes less deep
SLOW = "two results"


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Subject]]:
    """What is read by Python; native code runs in a process of its own, below."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(folder))
        made = [*documents.subjects(folder, 0), *stored_arrays.subjects(folder, 0)]
        yield {subject.name: subject for subject in made}


@pytest.mark.parametrize(
    "kind",
    [
        "manifest.json",
        "result of bench",
        SLOW,
        "result of eval",
        "devices.toml",
        "message of a device",
        "run under way",
        "reference.npz",
        "checkpoint .safetensors",
        "checkpoint .pth",
        "training state last.pt",
    ],
)
def test_a_changed_file_is_read_or_refused(kind: str, subjects: dict[str, Subject]) -> None:
    subject = subjects[kind]
    outcomes = [
        outcome_of(subject, subject.make(number))
        for number in range(SLOW_INPUTS if kind == SLOW else INPUTS)
    ]
    assert set(outcomes) <= {"answer", "refusal"}
    assert "refusal" in outcomes


@pytest.mark.slow  # fifty commands; 'make fuzz' runs thousands
def test_a_changed_model_is_read_or_refused(tmp_path: Path) -> None:
    """By every command, in a child with limits of memory and time."""
    ended = python(
        *("-m", "support.fuzzing.run_all", "--only", "model.onnx"),
        *("--most", MODEL_INPUTS, "--seconds", 500, "--keep", tmp_path),
        cwd=ROOT / "tests",
    )
    assert ended.code == 0, ended.out + ended.err
    assert "0 failures" in ended.out.splitlines()[-1]


# What fuzzing found ------------------------------------------------------------------------------


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return small_bundle(tmp_path / "small.edgevit")


def changed(bundle: Bundle, change: Callable[[onnx.ModelProto], object]) -> Bundle:
    """The bundle with another float model, and the right hash."""
    model = small_model()
    change(model)
    put_file(bundle.path, "model.onnx", model.SerializeToString())
    return Bundle.open(bundle.path)


def node(model: onnx.ModelProto, op: str) -> onnx.NodeProto:
    return next(each for each in model.graph.node if each.op_type == op)


def without_inputs(model: onnx.ModelProto) -> None:
    del node(model, "MatMul").input[:]


def of_text(model: onnx.ModelProto) -> None:
    """numpy has no type for it."""
    model.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.STRING


def without_a_type(model: onnx.ModelProto) -> None:
    model.graph.output[0].ClearField("type")
    node(model, "MatMul").op_type = "Unknown"


def of_an_unknown_type(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_type = 0


MODELS = {f.__name__: f for f in (without_inputs, of_text, without_a_type, of_an_unknown_type)}


def expose(bundle: Bundle) -> None:
    names = [spec.name for spec in inner_tensors(bundle, "float")]
    with exposed(bundle, "float", names):
        pass


LOOKS: dict[str, Callable[[Bundle], object]] = {
    "expose": expose,
    "precisions": lambda bundle: layer_precisions(bundle.variant()),
    "work": product_work,
}


@pytest.mark.parametrize("change", MODELS)
@pytest.mark.parametrize("look", LOOKS)
def test_a_model_that_contradicts_itself(bundle: Bundle, change: str, look: str) -> None:
    """It may be of use, or be refused; nothing else is raised."""
    with suppress(EdgevitError):
        LOOKS[look](changed(bundle, MODELS[change]))


def test_a_product_without_inputs_is_damage(bundle: Bundle) -> None:
    bundle = changed(bundle, without_inputs)
    for look in ("precisions", "work"):
        with pytest.raises(DamagedError, match="is no ONNX model that can be read"):
            LOOKS[look](bundle)


def of_another_name(model: onnx.ModelProto) -> None:
    """An output that belongs to no task, and is made by the node that made the logits."""
    last = next(each for each in model.graph.node if LOGITS in each.output)
    last.output[list(last.output).index(LOGITS)] = model.graph.output[0].name = "other"


def test_quantize_refuses_a_model_without_the_answers_of_a_task(bundle: Bundle) -> None:
    """It was a ValueError, which make fuzz found."""
    pictures = Pictures((), bundle.manifest.preprocess)
    request = quantize_request(
        changed(bundle, of_another_name), pictures, "tensorrt", max_drop=1.0, replace_variants=True
    )
    with pytest.raises(DamagedError, match="the outputs other are those of no task"):
        quantize_bundle(request, {"onnxruntime": OnnxRuntimeRunner}, SilentProgress())


def test_a_figure_that_is_not_finite_is_not_written(bundle: Bundle) -> None:
    """A manifest with NaN in it could not be read again, and the bundle would be lost."""
    variant = replace(bundle.entry("int8"), build=Build("float", "0" * 64, facts={"x": math.nan}))
    with pytest.raises(BundleError, match="NaN or infinite"), edit(bundle) as draft:
        draft.put("int8", variant)
    assert Bundle.open(bundle.path, check_hashes=True).manifest == bundle.manifest


def test_a_name_that_is_no_text_is_damage(bundle: Bundle) -> None:
    """ONNX Runtime opens it, and its Python side cannot say the name."""
    content = small_model().SerializeToString().replace(b"logits", b"log\xff\xfes")
    with pytest.raises(DamagedError, match="ONNX Runtime cannot load"):
        OnnxRuntimeRunner(content)


def test_a_run_under_way_that_is_nested_too_deep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    file = state_folder() / "runs" / "0123456789abcdef.json"
    file.parent.mkdir(parents=True)
    file.write_text("[" * DEEPEST + "]" * DEEPEST)
    with pytest.raises(InputError, match="nested too deep"):
        read_pending(file.stem)


@pytest.mark.parametrize(
    "header",
    [
        {"w": {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
        {"w": None},
    ],
)
def test_a_safetensors_header_that_lies(tmp_path: Path, header: dict[str, object]) -> None:
    text = json.dumps(header).encode()
    path = tmp_path / "weights.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(CheckpointError, match="is not a safetensors file"):
        read_checkpoint(path)


# The guard itself --------------------------------------------------------------------------------


class PanicException(BaseException):
    """As libraries in Rust raise it."""


@pytest.mark.parametrize("raised", [KeyError("x"), MemoryError(), PanicException("panicked")])
def test_whatever_a_library_raises_is_one_error(raised: BaseException) -> None:
    with (
        pytest.raises(DamagedError, match=r"^damaged: \S+"),
        parsing(lambda reason: DamagedError(f"damaged: {reason}")),
    ):
        raise raised


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit(3), InputError("our own")])
def test_what_no_library_raised_goes_on_as_it_is(raised: BaseException) -> None:
    with pytest.raises(type(raised)), parsing(DamagedError):
        raise raised


# The fuzzer --------------------------------------------------------------------------------------


def test_the_fuzzer_sees_what_should_not_be_raised() -> None:
    def read(data: bytes) -> None:
        raise {b"bug": KeyError("x"), b"refused": InputError("no")}.get(data, EdgevitError(""))

    subject = Subject("made up", lambda _: b"", read)
    assert outcome_of(subject, b"bug").startswith("KeyError at test_hostile_files.py:")
    assert outcome_of(subject, b"refused") == "refusal"
    assert outcome_of(subject, b"without a word") != "refusal"
