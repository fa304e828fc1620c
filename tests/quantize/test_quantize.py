"""INT8 keeps what it promises: ranges, forms for every target, the gate, and the bundle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.variant_names import int8_variant
from edgevit.common.errors import InputError
from edgevit.common.progress import SilentProgress
from edgevit.images import image_io
from edgevit.images.image_folder import ImageFolder
from edgevit.inference.accuracy import PairedDrop
from edgevit.inference.agreement import LabelledEvalSet, relative_logit_error
from edgevit.inference.batches import infer_all
from edgevit.inference.calibration import Pictures, balanced, refuse_overlap
from edgevit.inference.intervals import Pairs
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit_export.convert.graph import serialized, weight_values
from edgevit_export.passes.widen_weights import widen_weights
from edgevit_export.quantize.half import to_half
from edgevit_export.quantize.observe import Observed, observe, observe_products, with_outputs
from edgevit_export.quantize.products import find_products, is_transposed
from edgevit_export.quantize.quantize_pipeline import quantize_bundle
from edgevit_export.quantize.ranges import METHODS, Range
from edgevit_export.quantize.schemes import SCHEMES, quantized
from edgevit_export.quantize.search import Search
from edgevit_export.quantize.smooth import smoothed
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from edgevit_runtimes.devices.target import this_target
from edgevit_runtimes.selection.verdict import LEAST_GAIN
from support import Command
from support.quantize_requests import quantize_request
from support.zoo import float_copy

pytestmark = pytest.mark.early

RUNNERS = {"onnxruntime": OnnxRuntimeRunner}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return float_copy(tmp_path / "mine.edgevit")


@pytest.fixture(scope="session")
def float_model() -> ir.Model:
    model = ir.load(Bundle.open(PREBUILT_BUNDLE).variant("float"))
    assert widen_weights(model), "as float16 holds them"
    return model


@pytest.fixture
def pictures(answered: Path) -> Pictures:
    files = ImageFolder.open(answered / "train").files
    return Pictures(files[:24], Preprocess(160))


# Ranges -------------------------------------------------------------------------------------------


def seen(values: np.ndarray) -> Observed:
    observed = Observed()
    observed.see_extremes(values, 1)
    observed.count(values)
    return observed


def test_minmax_covers_everything_and_the_others_cut_an_outlier() -> None:
    values = np.random.default_rng(0).normal(0, 1, (4000, 8)).astype(np.float32)
    values[0, 0] = 60.0
    ranges = {name: method(seen(values)) for name, method in METHODS.items()}
    assert ranges["minmax"] == Range(float(values.min()), 60.0)
    for name, most in (("percentile", 6), ("entropy", 50), ("mse", 59)):
        assert 2.5 < ranges[name].high < most, name


@pytest.mark.parametrize("method", METHODS)
def test_without_outliers_hardly_anything_is_cut(method: str) -> None:
    values = np.random.default_rng(0).uniform(-3, 5, (4000, 8)).astype(np.float32)
    found = METHODS[method](seen(values))
    assert found.low == pytest.approx(-3, abs=0.2)
    assert found.high == pytest.approx(5, abs=0.2)


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.5, 4.0), (-4.0, -1.0), (0.0, 0.0)])
def test_zero_is_exact_whatever_the_range(low: float, high: float) -> None:
    """What uint8 and int8 can hold includes 0 itself and, but for half a step, both ends."""
    scale, zero = Range(low, high).asymmetric()
    held = (np.arange(256) - float(zero)) * float(scale)
    assert zero.dtype == np.uint8
    assert 0.0 in held
    assert held[0] <= low + scale / 2
    assert held[-1] >= high - scale / 2
    symmetric = Range(low, high).symmetric()
    assert 127 * symmetric == pytest.approx(max(-low, high, 1e-12))


def test_raw_pixels_are_quantized_exactly(float_model: ir.Model) -> None:
    """0 to 255 in uint8: scale 1, zero point 0."""
    assert Range(0.0, 255.0).asymmetric() == (np.float32(1), np.uint8(0))


def test_observing_in_pieces_is_observing_at_once(
    float_model: ir.Model, pictures: Pictures
) -> None:
    name = find_products(float_model)[5].source
    probe = serialized(with_outputs(float_model, [name]))
    with OnnxRuntimeRunner(probe) as runner:
        at_once = observe(runner, [name], pictures)
        values = np.concatenate([runner.infer({"image": pictures[[i]]})[name] for i in range(24)])
    found = at_once[name]
    assert (found.low, found.high) == (values.min(), values.max())
    np.testing.assert_array_equal(found.channel_peak, np.abs(values).max(axis=0))
    assert found.counts is not None
    assert found.counts.sum() == values.size
    assert found.rows_per_picture * len(pictures) == len(values)


def test_nan_is_found_wherever_it_is(float_model: ir.Model, pictures: Pictures) -> None:
    class Broken(OnnxRuntimeRunner):
        calls = 0

        def infer(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            self.calls += 1
            outputs = super().infer(feeds)
            return {k: v * (np.nan if self.calls == 3 else 1) for k, v in outputs.items()}

    name = find_products(float_model)[5].source
    with (
        Broken(serialized(with_outputs(float_model, [name]))) as runner,
        pytest.raises(InputError, match="holds NaN or infinity"),
    ):
        observe(runner, [name], pictures)


# Forms --------------------------------------------------------------------------------------------


def ranges_of(model: ir.Model, pictures: Pictures) -> dict[str, Range]:
    observed = observe_products(model, pictures, OnnxRuntimeRunner)
    return {name: METHODS["minmax"](seen) for name, seen in observed.items()}


def logits(model: ir.Model, pictures: Pictures) -> np.ndarray:
    with OnnxRuntimeRunner(serialized(model)) as runner:
        return infer_all(runner, pictures)["logits"]


@pytest.mark.parametrize("name", SCHEMES)
def test_every_form_answers_nearly_as_float(
    name: str, float_model: ir.Model, pictures: Pictures
) -> None:
    model = quantized(float_model, SCHEMES[name], ranges_of(float_model, pictures))
    if SCHEMES[name].runtime != "onnxruntime":
        onnx.checker.check_model(ir.to_proto(model), full_check=True)
    assert relative_logit_error(logits(float_model, pictures), logits(model, pictures)) < 0.03


def _float_weights(model: ir.Model) -> list[np.ndarray]:
    found = (w.const_value for w in model.graph.initializers.values())
    return [value.numpy() for value in found if value is not None]


@pytest.mark.parametrize("name", SCHEMES)
def test_only_products_are_quantized(name: str, float_model: ir.Model, pictures: Pictures) -> None:
    """Softmax, norms, GELU, sums, the mask and the superpixel ops read and give float."""
    model = ir.to_proto(quantized(float_model, SCHEMES[name], ranges_of(float_model, pictures)))
    integers = {
        output
        for node in model.graph.node
        if "Quantize" in node.op_type and "Dequantize" not in node.op_type
        for output in node.output
    }
    readers = {node.op_type for node in model.graph.node if integers & set(node.input)}
    assert readers <= {"MatMulIntegerToFloat", "DequantizeLinear"}
    if name != "openvino":  # it knows no local functions: theirs are inlined
        assert {f.name for f in model.functions} == {f.name for f in float_model.functions.values()}
    weights = {w.name: w for w in model.graph.initializer}
    int8 = [w for w in weights.values() if w.data_type in (onnx.TensorProto.INT8, 2) and w.dims]
    every = sum(weight.size for weight in _float_weights(float_model))
    least = 0.65 if SCHEMES[name].runtime == "onnxruntime" else 0.95  # which keeps convolutions
    assert sum(np.prod(w.dims) for w in int8) > least * every


def test_tensorrts_form_is_what_its_parser_takes(float_model: ir.Model, pictures: Pictures) -> None:
    """Symmetric int8, no zero points but 0, float biases, standard ops only."""
    model = ir.to_proto(
        quantized(float_model, SCHEMES["tensorrt"], ranges_of(float_model, pictures))
    )
    weights = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    assert "com.microsoft" not in {entry.domain for entry in model.opset_import}
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            zero = weights[node.input[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
        if node.op_type == "Gemm" and len(node.input) > 2:
            assert weights[node.input[2]].dtype == np.float32


def test_layers_that_are_kept_float_stay_as_they_were(
    float_model: ir.Model, pictures: Pictures
) -> None:
    names = [product.name for product in find_products(float_model)]
    everything = frozenset(names)
    scheme = SCHEMES["onnxruntime-x86"]
    same = quantized(float_model, scheme, {}, everything)
    np.testing.assert_array_equal(logits(same, pictures), logits(float_model, pictures))
    kept = quantized(float_model, scheme, ranges_of(float_model, pictures), frozenset(names[3:4]))
    assert [p.name for p in find_products(kept)] == names[3:4]


# Smoothing and hostile weights --------------------------------------------------------------------


def hostile(model: ir.Model, channels: int = 4, times: float = 100.0) -> ir.Model:
    """The same function, but a few channels of two LayerNorms are 100 times as large."""
    copy = model.clone()
    by_source = {p.source for p in find_products(copy)}
    norms = [n for n in copy.graph if n.op_type == "LayerNormalization"]
    for norm in [n for n in norms if n.outputs[0].name in by_source][3:5]:
        for weight in norm.inputs[1:]:
            value = weight_values(weight).copy()
            value[:channels] *= times
            weight.const_value = ir.tensor(value)
        for reader in norm.outputs[0].consumers():
            weight = reader.inputs[1]
            value = weight_values(weight).copy()
            (value.T if is_transposed(reader) else value)[:channels] /= times
            weight.const_value = ir.tensor(value)
    return copy


def test_smoothing_computes_the_same(float_model: ir.Model, pictures: Pictures) -> None:
    smooth = smoothed(float_model, observe_products(float_model, pictures, OnnxRuntimeRunner))
    np.testing.assert_allclose(logits(smooth, pictures), logits(float_model, pictures), atol=1e-4)
    names = [p.name for p in find_products(smooth)]
    assert names == [p.name for p in find_products(float_model)]


@pytest.mark.slow  # the search has hundreds of sessions
def test_hostile_weights_pass_the_gate_and_are_named(
    float_model: ir.Model, pictures: Pictures, answered: Path
) -> None:
    model = hostile(float_model)
    np.testing.assert_allclose(logits(model, pictures), logits(float_model, pictures), atol=1e-2)
    judging = Pictures(ImageFolder.open(answered / "val").files, Preprocess(160))
    expected = logits(model, judging)
    evaluation = LabelledEvalSet(
        judging, {"logits": expected}, "float", expected.argmax(1).astype(np.int64)
    )
    search = Search(model, pictures, evaluation, RUNNERS, SilentProgress(), max_drop=0.0)
    found = search.run(SCHEMES["onnxruntime-x86"], explain=True)
    assert found.holds, [attempt.to_json() for attempt in found.attempts]
    named = [layer.name for layer in found.layers if layer.outlier_channels]
    assert len(named) >= 2
    plain = quantized(model, SCHEMES["onnxruntime-x86"], ranges_of(model, pictures))
    assert relative_logit_error(expected, logits(found.best.model, judging)) < relative_logit_error(
        expected, logits(plain, judging)
    ), "better than a default recipe"


def test_a_gate_that_cannot_hold_keeps_the_best_so_far(
    float_model: ir.Model, pictures: Pictures
) -> None:
    """Labels that only a worse model would meet: no drop is small enough."""
    few = pictures.first(2)
    expected = logits(float_model, few)
    evaluation = LabelledEvalSet(
        few, {"logits": expected}, "float", expected.argmax(1).astype(np.int64)
    )
    search = Search(float_model, few, evaluation, RUNNERS, SilentProgress(), -1.0, "minmax")
    found = search.run(SCHEMES["tensorrt"])
    assert not found.holds
    assert len(found.attempts) > 3
    assert [len(a.keep_float) for a in found.attempts][:4] == [0, 1, 2, 4]
    worst = [layer.error for layer in found.layers]
    assert worst == sorted(worst, reverse=True)


# Gate ---------------------------------------------------------------------------------------------


def test_the_drop_is_paired() -> None:
    labels = np.array([0, 0, 0, 0])
    before = np.array([[2, 1], [2, 1], [2, 1], [1, 2]], np.float32)
    after = np.array([[2, 1], [1, 2], [2, 1], [2, 1]], np.float32)
    drop = PairedDrop.of(before, after, labels)
    assert drop.points == 0
    assert drop.to_json()["same_answer"] == 0.5
    low, high = drop.interval
    assert low < 0 < high
    one_of_200 = PairedDrop(np.arange(200) < 180, np.arange(200) < 179, np.ones(200, bool))
    assert one_of_200.points == 0.5, "exactly at the limit is within it"
    low, high = one_of_200.interval
    assert -1.5 < low < 0.5 < high < 3


def test_few_pictures_say_little_about_the_drop() -> None:
    """None of ten lost was once "drop +0.00 (+0.00 to +0.00)"."""
    right = np.ones(10, bool)
    report = PairedDrop(right, right, right).to_json()
    assert report["drop_points"] == 0
    assert report["drop_points_interval_95"] == [-27.753, 27.753]
    always = np.ones(10_000, bool)
    assert PairedDrop(always, always, always).interval == pytest.approx((0, 0), abs=0.04)


@pytest.mark.parametrize(
    ("pairs", "low", "high"),
    [
        (Pairs(59, 6, 16, 80), -0.1186, -0.0046),  # Cavo et al., 2012
        (Pairs(1, 1, 7, 12), -0.507, -0.026),  # Bentur et al., 2009
    ],
)
def test_paired_intervals_are_the_published_ones(pairs: Pairs, low: float, high: float) -> None:
    """Fagerland, Lydersen, Laake: Statistical Analysis of Contingency Tables, 2017, chapter 8."""
    assert pairs.difference_interval() == pytest.approx((low, high), abs=5e-4)


def test_paired_intervals_are_symmetric_and_bounded() -> None:
    low, high = Pairs(59, 6, 16, 80).difference_interval()
    assert Pairs(59, 16, 6, 80).difference_interval() == pytest.approx((-high, -low))
    assert Pairs(0, 0, 0, 0).difference_interval() == (-1, 1)
    assert Pairs(0, 3, 0, 0).difference_interval()[1] == 1


# FP16 ---------------------------------------------------------------------------------------------


def test_half_computes_in_half_but_superpixels(float_model: ir.Model, pictures: Pictures) -> None:
    half = to_half(float_model, pictures.first(4), OnnxRuntimeRunner)
    proto = ir.to_proto(half.model)
    onnx.checker.check_model(proto, full_check=True)
    assert half.kept_float == {}
    np.testing.assert_allclose(
        logits(half.model, pictures), logits(float_model, pictures), atol=0.05
    )
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True).graph
    types = {v.name: v.type.tensor_type.elem_type for v in inferred.value_info}
    types |= {w.name: w.data_type for w in proto.graph.initializer}
    for node in proto.graph.node:
        expected = 1 if node.domain == "edgevit" else 10
        if node.op_type in ("Gemm", "Softmax", "LayerNormalization") or node.domain == "edgevit":
            assert {types[name] for name in node.input if name in types} == {expected}, node.name
    (output,) = proto.graph.output
    assert output.type.tensor_type.elem_type == 1


def test_what_overflows_half_is_kept_float(float_model: ir.Model, pictures: Pictures) -> None:
    """A LayerNorm with a gain of 1e6, undone in the weights behind it."""
    model = hostile(float_model, channels=2, times=1e6)
    half = to_half(model, pictures.first(4), OnnxRuntimeRunner)
    assert half.kept_float
    assert min(half.kept_float.values()) > 60_000
    got = logits(half.model, pictures)
    assert np.isfinite(got).all()
    np.testing.assert_allclose(got, logits(model, pictures), atol=0.05)


# Pictures -----------------------------------------------------------------------------------------


def test_calibration_is_balanced_seeded_and_short_classes_do_not_stop_it(answered: Path) -> None:
    folder = ImageFolder.open(answered / "train")
    picks = balanced(folder, 20, seed=3)
    assert picks.tolist() == balanced(folder, 20, seed=3).tolist()
    assert picks.tolist() != balanced(folder, 20, seed=4).tolist()
    assert len(set(picks.tolist())) == 20
    taken = np.bincount(np.asarray(folder.labels)[picks], minlength=len(folder.classes))
    there = np.bincount(folder.labels, minlength=len(folder.classes))
    most = taken.max()
    assert all(t >= min(n, most - 1) for t, n in zip(taken, there, strict=True))
    assert len(balanced(folder, 10_000, seed=0)) == len(folder)


def test_the_same_picture_must_not_calibrate_and_judge(answered: Path, tmp_path: Path) -> None:
    folder = ImageFolder.open(answered / "train")
    refuse_overlap(folder, ImageFolder.open(answered / "val"))
    copy = Path(shutil.copytree(answered / "val", tmp_path / "val"))
    shutil.copy(folder.files[0], copy / folder.files[0].parent.name / "renamed.png")
    with pytest.raises(InputError, match=r"1 images of 'val_data' are in 'data' too.*renamed\.png"):
        refuse_overlap(folder, ImageFolder.open(copy))


# The command --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_whole_command(bundle: Path, answered: Path, edgevit: Command, tmp_path: Path) -> None:
    plot = tmp_path / "trade.png"
    options = ("--data", answered / "train", "--val-data", answered / "val", "--count", 24)
    quick = ("--calibration-method", "minmax")
    ended = edgevit("quantize", bundle, *options, *quick, "--max-drop", 5, "--plot", plot)
    assert ended.code == 0, ended.err
    assert image_io.read(plot).shape[0] > 100
    opened = Bundle.open(bundle)
    (mine,) = [name for name, v in opened.manifest.variants.items() if v.target == this_target()]
    assert set(opened.manifest.variants) == {"float", mine, "onnx-int8-tensorrt", "onnx-fp16"}
    report = opened.manifest.variants[mine].report
    own = int8_variant(this_target())
    forms = {form["variant"]: form for form in report["forms"]}
    assert set(forms) == {own, "onnx-int8-dynamic", "onnx-int8-weights"}
    gains = {
        name: form["times_faster"] * (1.1 if name == own else 1)
        for name, form in forms.items()
        if form["holds"] and form["times_faster"] >= LEAST_GAIN
    }
    assert mine == max(gains, key=lambda name: gains[name], default=own)
    assert report["accuracy_from"] == "this machine's runtime"
    assert report["speed"]["times_faster"] == forms[mine]["times_faster"] > 0
    assert len(report["calibration_files"]) == report["calibration_images"] == 24
    examined = mine == own or len(report["attempts"]) > 1
    assert bool(report.get("layers")) == examined, "of another form only where some stay in float"
    simulated = opened.manifest.variants["onnx-int8-tensorrt"].report
    assert simulated["accuracy_from"] == "a simulation in ONNX Runtime"
    assert "speed" not in simulated
    small = opened.variant(mine).stat().st_size
    assert small < 0.6 * 4 * opened.manifest.model.parameters, "convolutions stay float32"
    _assert_inspected(bundle, report["picture_set"]["name"], examined, edgevit)
    photo = next((answered / "val").rglob("*.png"))
    chosen = opened.manifest.chosen.get(this_target(), "float")
    assert json.loads(edgevit("run", bundle, photo, "--json").out)["variant"] == chosen
    other = edgevit("run", bundle, photo, "--variant", "onnx-fp16", "--json")
    assert json.loads(other.out)["variant"] == "onnx-fp16"
    quick_bench = ("--samples", 5, "--frames", 3, "--warmup", 1, "--variant", "float")
    benched = edgevit("bench", bundle, *quick_bench, "--output", tmp_path / "bench.json")
    assert f"{this_target()}: " in benched.out
    assert f"images of {report['picture_set']['name']}" in benched.out
    measured = json.loads((tmp_path / "bench.json").read_text())["model"]["accuracy"]
    evaluated = json.loads(edgevit("eval", bundle, "--data", answered, "--json").out)
    assert evaluated["picture_set"] == report["picture_set"] == measured["picture_set"]
    again = edgevit("quantize", bundle, *options)
    assert again.code == 2
    assert "quantized already" in again.one_message
    anew = ("--target", "tensorrt", "--max-drop", 100, "--force")  # by the best of all methods
    forced = edgevit("quantize", bundle, *options, *anew)
    assert forced.code == 0, forced.err
    candidates = Bundle.open(bundle).manifest.variants["onnx-int8-tensorrt"].report["candidates"]
    assert set(candidates) == {f"{name}{tail}" for name in METHODS for tail in ("", " smoothed")}
    assert set(Bundle.open(bundle).manifest.variants) == {
        "float",
        "onnx-int8-tensorrt",
        "onnx-fp16",
    }
    assert not (bundle / opened.entry(mine).file).exists()


def _assert_inspected(bundle: Path, picture_set: str, examined: bool, edgevit: Command) -> None:
    """What was measured is shown; ``examined``: how much each layer costs, too."""
    shown = edgevit("inspect", bundle)
    assert shown.code == 0
    said = f"accuracy on {picture_set} ("
    for word in ("onnx-int8-tensorrt", "onnx-fp16", "calibrated by", "torch against", said):
        assert word in shown.out
    assert ("logit error" in shown.out) == examined
    layers = json.loads(edgevit("inspect", bundle, "--layers", "--json").out)["layers"]
    assert "float16" in layers["float"].values(), "as the prebuilt bundle stores them"
    assert "int8" in layers["onnx-int8-tensorrt"].values()


def test_an_interrupted_search_leaves_the_bundle_as_it_was(
    bundle: Path, pictures: Pictures, answered: Path
) -> None:
    calls = 0

    def open_and_stop(model: bytes) -> OnnxRuntimeRunner:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt
        return OnnxRuntimeRunner(model)

    before = {f.name: f.read_bytes() for f in bundle.iterdir()}
    request = quantize_request(Bundle.open(bundle), pictures, "tensorrt", max_drop=0.5)
    with pytest.raises(KeyboardInterrupt):
        quantize_bundle(request, {"onnxruntime": open_and_stop}, SilentProgress())
    assert {f.name: f.read_bytes() for f in bundle.iterdir()} == before
    assert [f.name for f in bundle.parent.iterdir()] == [bundle.name], "nothing beside it"


def test_without_eval_data_half_of_it_judges(
    bundle: Path, answered: Path, edgevit: Command, tmp_path: Path
) -> None:
    options = ("--count", 8, "--target", "tensorrt", "--calibration-method", "minmax", "--json")
    data = Path(shutil.copytree(answered / "train", tmp_path / "enough"))
    for folder in list(data.iterdir()):
        if len(list(folder.iterdir())) < 2:
            shutil.rmtree(folder)
    ended = edgevit("quantize", bundle, "--data", data, *options, "--max-drop", 100)
    assert ended.code == 0, ended.err
    assert "no evaluation images given: half of" in ended.err
    content = json.loads(ended.out)
    assert content["chosen"] == {}
    assert "not measured here" in content["verdicts"][0]["text"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "is not a folder"),
        (["--data", "{answered}/train", "--target", "npu"], "Unknown target 'npu'"),
        (
            ["--data", "{answered}/train", "--calibration-method", "best"],
            "--calibration-method is minmax",
        ),
        (["--data", "{answered}/train", "--val-data", "{answered}/train"], "disjoint"),
        (["--data", "{answered}/train", "--val-data", "{classes}"], "does not know 2 of the 2"),
        (["--data", "{empty}"], "has no class folders"),
        (["--data", "{few}", "--val-data", "{answered}/val"], "at least 8 images"),
        (["--data", "{answered}/train", "--plot", "x.doc"], "must end in .png"),
    ],
)
def test_bad_input_leaves_the_bundle_as_it_was(
    arguments: list[str],
    message: str,
    bundle: Path,
    answered: Path,
    class_folder: Path,
    tmp_path: Path,
    edgevit: Command,
) -> None:
    (tmp_path / "empty").mkdir()
    one = next((answered / "train").rglob("*.png"))
    (tmp_path / "few" / one.parent.name).mkdir(parents=True)
    shutil.copy(one, tmp_path / "few" / one.parent.name)
    places = {
        "answered": answered,
        "classes": class_folder,
        "empty": tmp_path / "empty",
        "few": tmp_path / "few",
    }
    before = {f.name: f.read_bytes() for f in bundle.iterdir()}
    ended = edgevit("quantize", bundle, *[a.format(**places) for a in arguments])
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert {f.name: f.read_bytes() for f in bundle.iterdir()} == before


@pytest.mark.parametrize("flags", ["avx2", "avx2 avx512_vnni", "avx2 avx_vnni"])
def test_the_target_is_chosen_by_what_the_processor_can(tmp_path: Path, flags: str) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(f"model name : some\nflags : {flags}\n")
    expected = "onnxruntime-x86" if "vnni" in flags else "onnxruntime-x86-avx2"
    assert this_target(tmp_path, "x86_64") == expected
    assert this_target(tmp_path, "aarch64") == "onnxruntime-arm"
