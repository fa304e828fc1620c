"""The exported file keeps its contract, and an export that fails leaves nothing."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx.reference
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import CheckFailedError
from edgevit.common.progress import SilentProgress
from edgevit.images import image_files, image_io
from edgevit.images.image_io import Image
from edgevit.inference.agreement import EXPORT_LIMITS, compare
from edgevit.inference.batches import infer_all
from edgevit.models.build import build
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.registry import MODELS, find
from edgevit_export.convert import superpixel_op
from edgevit_export.convert.export_pipeline import ExportRequest, export_bundle
from edgevit_export.convert.torch_runner import TorchRunner
from edgevit_export.convert.trace import trace
from edgevit_export.convert.weights import load_model
from edgevit_export.passes.halve_weights import halve_weights
from edgevit_export.passes.keep_outputs import keep_outputs
from edgevit_export.passes.regroup_gelu import regroup_gelu
from edgevit_export.passes.widen_weights import widen_weights
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from support import Command, python, shallow
from support.traces import begin_with_traces

pytestmark = pytest.mark.early

_HANGS_S = 600  # no limit of a test: it would never end
CLASSIFIERS = [name for name in MODELS if MODELS[name].spec.task == "classification"]
TINY = [name for name in CLASSIFIERS if "tiny" in name]


def of_size(pictures: Image, name: str) -> Image:
    """Pictures as a model takes them."""
    return image_io.batch(list(pictures), Preprocess(find(name).spec.image_px))


def export(tmp_path: Path, pictures: Image, name: str = "lla_tiny", **options: object) -> Bundle:
    target = tmp_path / f"{name}.edgevit"
    request = ExportRequest(shallow(name), target, of_size(pictures, name), **options)
    return export_bundle(request, OnnxRuntimeRunner, SilentProgress())


# torch.onnx takes seconds for any model, and most for LaViT, whose bundles other tests make (with
# its feature maps, as a backbone). The others are slow tests.
EVERY_KIND = ("lla_tiny", "lla_tiny_32", "vit_tiny_32")
DYNAMIC = [
    pytest.param(name, None, marks=[] if name in EVERY_KIND else pytest.mark.slow) for name in TINY
]
FIXED = [pytest.param(name, 1, marks=pytest.mark.slow) for name in TINY]


@pytest.mark.parametrize(("name", "batch"), [*DYNAMIC, *FIXED])
def test_every_model_keeps_the_contract_of_the_file(
    name: str, batch: int | None, tmp_path: Path, photo_batch: Image
) -> None:
    bundle = export(tmp_path, photo_batch, name, batch=batch)
    model = onnx.load(bundle.variant())
    onnx.checker.check_model(model, full_check=True)
    assert {e.domain: e.version for e in model.opset_import}[""] == 18
    assert model.ir_version == 10
    (image,) = model.graph.input
    consumers = [node.op_type for node in model.graph.node if "image" in node.input]
    # TensorRT takes uint8 nowhere else; the shape of a dynamic batch is not of its type.
    assert [op for op in consumers if batch or op != "Shape"] == ["Cast"]
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [o.name for o in model.graph.output] == ["logits"]
    custom = {node.op_type for node in model.graph.node if node.domain == "edgevit"}
    bodies = {function.name for function in model.functions if function.domain == "edgevit"}
    expected = {"SuperpixelSlic", "SuperpixelPool"} if find(name).spec.family == "lla" else set()
    assert custom == bodies == expected
    assert bundle.manifest.parity["torch against ONNX Runtime"]["images"] == len(photo_batch)
    assert bundle.manifest.model.trained == (find(name).weights is not None)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CLASSIFIERS if "base" not in name])
def test_every_model_in_full_depth_passes_the_gate(
    name: str, tmp_path: Path, photo_batch: Image
) -> None:
    request = ExportRequest(find(name), tmp_path / "x.edgevit", of_size(photo_batch, name))
    bundle = export_bundle(request, OnnxRuntimeRunner, SilentProgress())
    assert bundle.manifest.parity["torch against ONNX Runtime"]["max_difference"]["logits"] <= 1e-4


@pytest.mark.parametrize(
    ("name", "batch"),
    [
        *DYNAMIC,
        *(pytest.param(name, 3, marks=pytest.mark.slow) for name in ("lla_tiny", "lavit_tiny_128")),
    ],
)
def test_batches_answer_like_single_pictures(
    name: str, batch: int | None, tmp_path: Path, photo_batch: Image
) -> None:
    bundle = export(tmp_path, photo_batch, name, batch=batch)
    pictures = of_size(photo_batch, name)
    expected = infer_all(TorchRunner(load_model(shallow(name)).module), pictures)
    with OnnxRuntimeRunner(bundle.variant()) as runner:
        got = infer_all(runner, pictures)
        if batch is None:
            together = runner.infer({"image": pictures})["logits"]
            np.testing.assert_allclose(together, got["logits"], atol=1e-4)
    assert compare(expected, got, EXPORT_LIMITS).failures() == []


def test_the_superpixel_map_is_the_models(lla_bundle: Path, photo_batch: Image) -> None:
    bundle = Bundle.open(lla_bundle)
    assert [str(s) for s in bundle.manifest.outputs] == [
        "logits float32[batch, 200]",
        "superpixels int32[batch, 40, 40]",
    ]
    with OnnxRuntimeRunner(bundle.variant()) as runner:
        labels = runner.infer({"image": photo_batch})["superpixels"]
    with torch.inference_mode():
        module = load_model(find("lla_tiny")).module
        expected = module.taps(torch.from_numpy(photo_batch))["superpixels"]
    np.testing.assert_array_equal(labels, expected.numpy())
    assert set(np.unique(labels)) <= set(range(25))


def test_half_storage_computes_the_same_bits(tmp_path: Path, photo_batch: Image) -> None:
    whole = export(tmp_path / "whole", photo_batch)
    half = export(tmp_path / "half", photo_batch, half_storage=True)
    with OnnxRuntimeRunner(whole.variant()) as a, OnnxRuntimeRunner(half.variant()) as b:
        np.testing.assert_array_equal(
            infer_all(a, photo_batch)["logits"], infer_all(b, photo_batch)["logits"]
        )
    # Convolutions with BatchNorm folded in are no longer exactly float16.
    assert half.variant().stat().st_size < 0.7 * whole.variant().stat().st_size


def test_gelu_is_regrouped_bit_for_bit() -> None:
    """torch's grouping becomes the one that runtimes fuse; halving is exact."""
    half, one, root2 = (
        onnx.numpy_helper.from_array(np.float32(value), name)
        for value, name in ((0.5, "half"), (1.0, "one"), (2**0.5, "root2"))
    )
    nodes = [
        onnx.helper.make_node("Div", ["x", "root2"], ["scaled"]),
        onnx.helper.make_node("Erf", ["scaled"], ["erf"]),
        onnx.helper.make_node("Add", ["erf", "one"], ["e"]),
        onnx.helper.make_node("Mul", ["half", "e"], ["half_e"]),
        onnx.helper.make_node("Mul", ["x", "half_e"], ["y"]),
    ]
    x, y = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4000]) for name in "xy"
    )
    graph = onnx.helper.make_graph(nodes, "gelu", [x], [y], [half, one, root2])
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10
    )
    values = np.random.default_rng(0).normal(0, 3, 4000).astype(np.float32)
    evaluate = onnx.reference.ReferenceEvaluator
    before = evaluate(model).run(None, {"x": values})[0]
    graph = ir.from_proto(model)
    assert regroup_gelu(graph)
    model = ir.to_proto(graph)
    onnx.checker.check_model(model, full_check=True)
    assert [list(n.input) for n in model.graph.node[-2:]] == [["x", "e"], ["half_e", "half"]]
    np.testing.assert_array_equal(evaluate(model).run(None, {"x": values})[0], before)
    assert not regroup_gelu(graph), "there is nothing left to do"


def test_onnxruntime_fuses_every_gelu(lla_bundle: Path, tmp_path: Path) -> None:
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(str(Bundle.open(lla_bundle).variant()), options)
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node]
    assert kinds.count("Gelu") == find("lla_tiny").spec.depth
    assert "Erf" not in kinds


def test_passes_say_whether_they_changed_anything(lla_bundle: Path) -> None:
    model = ir.load(Bundle.open(lla_bundle).variant())
    assert not keep_outputs(model, ["logits", "superpixels"])
    assert keep_outputs(model, ["logits"])
    assert not keep_outputs(model, ["logits"])
    whole = _weights(model)
    assert halve_weights(model)
    assert not halve_weights(model)
    assert widen_weights(model)
    assert not widen_weights(model)
    assert _weights(model) == whole


def _weights(model: ir.Model) -> dict[str, bytes]:
    return {name: w.const_value.tobytes() for name, w in model.graph.initializers.items()}


def test_the_prebuilt_bundle_is_what_an_export_makes(photo_batch: Image) -> None:
    """The shipped file answers like the shipped weights in torch."""
    pictures = Bundle.open(PREBUILT_BUNDLE).reference().images
    module = load_model(find("lla_tiny")).module
    expected = infer_all(TorchRunner(module), np.concatenate([pictures, photo_batch]))
    with OnnxRuntimeRunner(Bundle.open(PREBUILT_BUNDLE).variant()) as runner:
        got = infer_all(runner, np.concatenate([pictures, photo_batch]))
    assert compare(expected, got, EXPORT_LIMITS).failures() == []
    stored = Bundle.open(PREBUILT_BUNDLE).reference().outputs["logits"]
    np.testing.assert_allclose(got["logits"][: len(stored)], stored, atol=1e-4)


def test_the_gate_fails_loudly_and_leaves_nothing(
    tmp_path: Path, photo_batch: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that means something else than torch: colours without green."""
    wrong = superpixel_op.LAB_FROM_F * np.float32([1, 0, 1])
    monkeypatch.setattr(superpixel_op, "LAB_FROM_F", wrong.astype(np.float32))
    with pytest.raises(CheckFailedError, match="superpixels differ"):
        export(tmp_path, photo_batch)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_gate_is_exit_code_1(
    tmp_path: Path, photo_folder: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = replace(EXPORT_LIMITS, logit_difference=0.0)
    monkeypatch.setattr("edgevit_export.convert.export_pipeline.EXPORT_LIMITS", exact)
    target = tmp_path / "out.edgevit"
    ended = edgevit("export", "--output", target, "--images", photo_folder)
    assert ended.code == 1
    assert "Parity failed" in ended.err
    assert not target.exists()


def test_nan_weights_are_refused(tmp_path: Path, edgevit: Command) -> None:
    state = build(find("lla_tiny").spec.with_classes(3)).state_dict()
    state["blocks.2.query.weight"][3, 3] = torch.nan
    torch.save(state, tmp_path / "broken.pth")
    target = tmp_path / "out.edgevit"
    ended = edgevit("export", "--checkpoint", tmp_path / "broken.pth", "--output", target)
    assert ended.code == 2
    assert "blocks.2.query.weight" in ended.err
    assert not target.exists()


def test_libraries_print_nothing_at_the_end(tmp_path: Path) -> None:
    """onnxsim prints a page of what was not freed, where Python ends without freeing it."""
    ended = python("-m", "edgevit", "export", "--model", "lla_micro", "--output", tmp_path / "x")
    assert ended.code == 0, ended.err
    assert "leaked" not in ended.err


@pytest.mark.slow
def test_untrained_is_said_everywhere(tmp_path: Path, photo_folder: Path, edgevit: Command) -> None:
    target = tmp_path / "vit.edgevit"
    ended = edgevit("export", "--model", "vit_tiny_32", "--output", target)
    assert ended.code == 0
    assert "untrained" in ended.out
    ran = edgevit("run", target, photo_folder)
    assert ran.code == 0
    assert "untrained" in ran.err
    assert json.loads(edgevit("run", target, photo_folder, "--json").out)["trained"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "lla_tinny"], "Did you mean lla_tiny"),
        (["--model", "vit_tiny", "--with-superpixels"], "has no superpixels"),
        (["--checkpoint", "none.safetensors"], "No such checkpoint"),
        (["--classes", "none.txt"], "a number, or a text file"),
        (["--classes", "0"], "at least one class"),
        (["--classes", "99999999999999999999"], "at most"),
        (["--classes", "²"], "a number, or a text file"),
        (["--classes", "7"], "gives 7 classes"),
        (["--images", "nowhere"], "is not a folder"),
        (["--output", "."], "is the working folder"),
        (["--batch", "0"], "--batch"),
    ],
)
def test_bad_options(
    arguments: list[str],
    message: str,
    edgevit: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = edgevit("export", *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_weights_far_too_large_are_the_weights_fault(tmp_path: Path, edgevit: Command) -> None:
    state = build(find("vit_tiny_32").spec.with_classes(3)).state_dict()
    state = {key: value * 1e30 for key, value in state.items()}
    torch.save(state, tmp_path / "huge.pth")
    options = ("--model", "vit_tiny_32", "--checkpoint", tmp_path / "huge.pth")
    ended = edgevit("export", *options, "--output", tmp_path / "out.edgevit")
    assert ended.code == 2
    assert "Take an earlier checkpoint" in ended.err
    assert not (tmp_path / "out.edgevit").exists()


def test_force_replaces_bundles_only(tmp_path: Path, edgevit: Command) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work")
    ended = edgevit("export", "--output", tmp_path / "precious", "--force")
    assert ended.code == 2
    assert "is never replaced" in ended.err
    assert (tmp_path / "precious" / "thesis.txt").read_text() == "years of work"


def test_an_existing_bundle_needs_force(lla_bundle: Path, edgevit: Command) -> None:
    ended = edgevit("export", "--output", lla_bundle)
    assert ended.code == 2
    assert "--force" in ended.err


def test_an_unwritable_place(edgevit: Command) -> None:
    ended = edgevit("export", "--output", "/proc/out.edgevit")
    assert ended.code == 2
    assert "Cannot write /proc/out.edgevit" in ended.err


def test_a_file_in_the_way(tmp_path: Path, edgevit: Command) -> None:
    (tmp_path / "file").write_text("x")
    ended = edgevit("export", "--output", tmp_path / "file" / "out.edgevit")
    assert ended.code == 2
    assert "Cannot write" in ended.err


@pytest.fixture
def known_trace(traces: Path) -> Path:
    """lla_tiny's is among the traces: children of the tests below start with writing, soon."""
    trace(load_model(find("lla_tiny")).module, batch=1)
    return traces


def _export_process(
    target: Path, traces: Path, limit_bytes: int | None = None
) -> subprocess.Popen[str]:
    """An export in another process, perhaps one that may not write files beyond a size."""

    def limit() -> None:
        if limit_bytes is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    # No threads in the child before exec, so that a function may run there.
    return begin_with_traces(traces, "export", "--output", target, preexec_fn=limit)


@pytest.mark.slow
def test_a_full_disk_leaves_nothing(tmp_path: Path, known_trace: Path) -> None:
    """The system refuses to let the model file grow (EFBIG, like ENOSPC an OSError)."""
    with _export_process(tmp_path / "out.edgevit", known_trace, limit_bytes=1_000_000) as child:
        _, err = child.communicate(timeout=_HANGS_S)
    assert child.returncode == 2, err
    assert "Cannot write" in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "signum",
    [
        signal.SIGKILL,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
    ],
)
def test_killed_in_the_middle(tmp_path: Path, traces: Path, signum: int, edgevit: Command) -> None:
    target, partial = tmp_path / "out.edgevit", tmp_path / ".out.edgevit.partial"
    with _export_process(target, known_trace) as child:
        deadline = time.monotonic() + _HANGS_S
        while not partial.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(child.pid, signum)
        _, err = child.communicate(timeout=_HANGS_S)
    assert child.returncode != 0
    assert "Traceback" not in err
    assert not target.exists()
    if signum != signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []
    assert edgevit("export", "--output", target).code == 0
    assert [p.name for p in tmp_path.iterdir()] == ["out.edgevit"]


@pytest.mark.slow
def test_two_exports_into_one_folder(tmp_path: Path, known_trace: Path) -> None:
    target = tmp_path / "out.edgevit"
    with (
        _export_process(target, known_trace) as first,
        _export_process(target, known_trace) as second,
    ):
        errors = [child.communicate(timeout=_HANGS_S)[1] for child in (first, second)]
    codes = sorted(child.returncode for child in (first, second))
    assert codes == [0, 2], errors
    assert any("Another process" in e or "already exists" in e for e in errors)
    Bundle.open(target)
    assert [p.name for p in tmp_path.iterdir()] == ["out.edgevit"]


def test_parity_pictures_of_any_shape(tmp_path: Path, photo_folder: Path, edgevit: Command) -> None:
    options = ("--images", photo_folder, "--count", 3, "--json")
    ended = edgevit("export", "--output", tmp_path / "out.edgevit", *options)
    content = json.loads(ended.out)
    assert content["parity"]["torch against ONNX Runtime"]["images"] == 3
    reference = Bundle.open(tmp_path / "out.edgevit").reference()
    assert reference.images.shape == (3, 160, 160, 3)
    assert image_files.files_in(photo_folder)
