"""``edgevit compile``: what it makes, what it keeps, what it refuses, and what ``auto`` chooses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from edgevit.bundle.bundle import FLOAT_VARIANT, Bundle
from edgevit.bundle.compiled import Built, Wanted, ensure, reasons_to_build
from edgevit.bundle.edit import edit
from edgevit.bundle.manifest import Manifest, Variant
from edgevit.common.errors import BundleError, CheckFailedError, InputError
from edgevit.common.progress import SilentProgress
from edgevit.inference.agreement import (
    EXPORT_LIMITS,
    EvalSet,
    LogitAgreement,
    compare,
    variant_limits,
)
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_export.quantize.quantize_pipeline import _kept, refuse_quantized
from edgevit_runtimes.backends.open_model import open_variant
from edgevit_runtimes.bench import measure, measurement_process
from edgevit_runtimes.bench.fresh_process import MeasurementJob
from edgevit_runtimes.devices.facts import chosen_here, machine_label
from edgevit_runtimes.selection import agreement as agreement_module
from edgevit_runtimes.selection import choose
from edgevit_runtimes.selection.agreement import agreement, reference_set
from edgevit_runtimes.selection.verdict import LEAST_GAIN
from support import ROOT, Command, python
from support.compiled_bundles import ON_ORIN, pretend_orin, with_engine
from support.needs import (
    CPU_HAS_BFLOAT16,
    needs_native_engine,
    needs_no_gpu,
    needs_openvino,
    needs_tensorrt,
)
from support.processes import full_disk
from support.zoo import float_copy

pytestmark = pytest.mark.early


@pytest.fixture
def path(all_forms: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(all_forms, tmp_path / "mine.edgevit"))


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


# What it makes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "precision", "options"),
    [
        ("onnxruntime", "fp32", {"provider": "cpu", "allow_fallback": False}),
        ("onnxruntime", "int8", {"provider": "cpu", "allow_fallback": False}),
        ("onnxruntime", "fp16", {"provider": "cpu", "allow_fallback": False}),
        pytest.param("openvino", "fp32", {"precision": "f32"}, marks=needs_openvino),
        pytest.param("openvino", "int8", {"precision": "f32"}, marks=needs_openvino),
        pytest.param("native", "fp32", {}, marks=needs_native_engine),
        pytest.param("native", "int8", {}, marks=needs_native_engine),
    ],
)
def test_a_variant_is_compiled_checked_and_answers(
    target: str, precision: str, options: dict[str, Any], path: Path, edgevit: Command
) -> None:
    asked = ("--target", target, "--precision", precision, "--json")
    ended = edgevit("compile", path, *asked)
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    assert content["variant"] == f"{target}-{precision}"
    assert content["reasons"] == ["it was not in the bundle"]
    assert content["build"]["options"] == options
    assert content["build"]["facts"]["agreement"]["holds"]
    bundle = Bundle.open(path)
    assert bundle.manifest.schema == 3
    assert bundle.manifest.files[content["file"]].bytes == content["bytes"]
    with open_variant(bundle, content["variant"]) as runner:
        assert runner.outputs == bundle.manifest.outputs
    assert json.loads(edgevit("compile", path, *asked).out)["reasons"] == []
    assert "kept" in edgevit("compile", path, *asked[:-1]).out


@needs_openvino
@pytest.mark.only_if(CPU_HAS_BFLOAT16)
def test_bfloat16_keeps_the_superpixels_in_float32(path: Path, edgevit: Command) -> None:
    ended = edgevit("compile", path, "--target", "openvino", "--precision", "bf16", "--json")
    build = json.loads(ended.out)["build"]
    assert build["options"] == {"precision": "bf16", "keep_float32": "assignment"}
    assert build["facts"]["agreement"]["max_difference"] < 0.3


@needs_tensorrt
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_an_engine_is_built_ahead_of_time(precision: str, path: Path, edgevit: Command) -> None:
    options = ("--target", "tensorrt", "--capability", "8.6", "--precision", precision)
    ended = edgevit("compile", path, *options, "--json")
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    assert content["variant"] == f"tensorrt-{precision}-sm86"
    assert content["build"]["built_for"]["compute capability"] == "8.6"
    assert content["build"]["built_for"]["runtime"].startswith("tensorrt_rtx ")
    assert "agreement" not in content["build"]["facts"], "no GPU of that kind was asked"
    assert content["bytes"] > 1e6
    assert json.loads(edgevit("compile", path, *options, "--json").out)["reasons"] == []


@needs_tensorrt
def test_a_dynamic_batch_has_its_range_among_the_options(
    lla_bundle: Path, tmp_path: Path, edgevit: Command
) -> None:
    path = Path(shutil.copytree(lla_bundle, tmp_path / "dynamic.edgevit"))
    options = ("--target", "tensorrt", "--capability", "8.6", "--batch", "1:2:4", "--json")
    assert (
        json.loads(edgevit("compile", path, *options).out)["build"]["options"]["batch"] == "1:2:4"
    )
    again = json.loads(edgevit("compile", path, *options[:-3], "--json").out)
    assert again["reasons"] == ["batch: built for 1:2:4, here is 1:1:8"]


def test_inspect_lists_what_was_compiled(path: Path, edgevit: Command) -> None:
    with_engine(path)
    ended = edgevit("inspect", path, "--layers")
    assert ended.code == 0, ended.err
    assert "compiled from float" in ended.out


def test_a_model_that_gives_more_than_logits_is_not_for_the_native_engine(
    lla_bundle: Path, tmp_path: Path, edgevit: Command
) -> None:
    path = Path(shutil.copytree(lla_bundle, tmp_path / "mine.edgevit"))
    ended = edgevit("compile", path, "--target", "native")
    assert ended.code == 2
    assert "also gives superpixels" in ended.one_message
    assert "without --with-superpixels" in ended.one_message


def test_a_form_that_is_not_compiled_for_the_native_engine_says_how(path: Path) -> None:
    with pytest.raises(InputError, match=r"build a native engine from.*--target native"):
        open_variant(Bundle.open(path), "onnx-int8-native")


# What it keeps and what it builds anew ------------------------------------------------------------


def build_of(runtime: str = "onnxruntime 1.0", **options: object) -> Wanted:
    return Wanted(
        "onnxruntime-fp32", FLOAT_VARIANT, "onnxruntime", "fp32", "onnx",
        {"runtime": runtime, "processor": "A"}, options,
    )  # fmt: skip


def test_a_fresh_artefact_is_kept_and_a_stale_one_says_why(path: Path) -> None:
    bundle, first = ensure(Bundle.open(path), build_of(), lambda _: Built(b"1"))
    assert first.reasons == ("it was not in the bundle",)

    def not_again(_: Path) -> Built:
        raise AssertionError("it was fresh")

    bundle, second = ensure(bundle, build_of(), not_again)
    assert second.was_kept
    stale = build_of("onnxruntime 2.0", provider="cuda")
    assert reasons_to_build(bundle, stale) == (
        "runtime: built for onnxruntime 1.0, here is onnxruntime 2.0",
        "provider: built for nothing, here is cuda",
    )
    bundle, _ = ensure(bundle, stale, lambda _: Built(b"2"))
    assert bundle.variant("onnxruntime-fp32").read_bytes() == b"2"


def test_another_source_makes_it_stale(path: Path) -> None:
    bundle, _ = ensure(Bundle.open(path), build_of(), lambda _: Built(b"1"))
    files = dict(bundle.manifest.files)
    files["model.onnx"] = structs.replace(files["model.onnx"], sha256="0" * 64)
    other = Bundle(bundle.path, structs.replace(bundle.manifest, files=files))
    assert reasons_to_build(other, build_of())[0] == (
        "the model it was compiled from (float) is another one now"
    )


def test_force_compiles_what_is_fresh(path: Path, edgevit: Command) -> None:
    edgevit("compile", path, "--target", "onnxruntime")
    ended = edgevit("compile", path, "--target", "onnxruntime", "--force", "--json")
    assert json.loads(ended.out)["reasons"] == ["--force was given"]


@pytest.mark.parametrize(
    ("target", "place"), [("onnxruntime", "TMPDIR"), ("native", "Cannot write")]
)
def test_a_full_disk_is_not_the_models_fault(
    target: str, place: str, path: Path, edgevit: Command
) -> None:
    before = {file.name for file in path.iterdir()}
    with full_disk(100_000):
        ended = edgevit("compile", path, "--target", target, "--precision", "fp32")
    assert ended.code == 2
    assert place in ended.one_message
    assert {file.name for file in path.iterdir()} == before


def test_what_a_compiler_raises_leaves_the_bundle_as_it_was(path: Path) -> None:
    before = contents(path)

    def fails(_: Path) -> Built:
        raise CheckFailedError("no")

    with pytest.raises(CheckFailedError):
        ensure(Bundle.open(path), build_of(), fails)
    assert contents(path) == before


def test_an_engines_layers_are_saved_beside_it_and_go_with_it(path: Path) -> None:
    bundle, _ = ensure(Bundle.open(path), build_of(), lambda _: Built(b"1", {}, '{"Layers": []}'))
    file = path / "model.onnxruntime-fp32.layers.json"
    assert json.loads(file.read_text()) == {"Layers": []}
    with edit(bundle) as draft:
        draft.drop(["onnxruntime-fp32"])
    assert not file.exists()


def test_what_does_not_agree_is_not_kept(
    path: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(contents(path))
    wrong = an_agreement("float32", 8, 3)
    monkeypatch.setattr(agreement_module, "agreement", lambda *_: wrong)
    ended = edgevit("compile", path, "--target", "onnxruntime")
    assert ended.code == 1
    assert "does not answer as the float reference: the top class agrees on 3 of 8" in ended.err
    assert set(contents(path)) == before
    assert "onnxruntime-fp32" not in Bundle.open(path).manifest.variants


def an_agreement(precision: str, images: int, agrees: int) -> LogitAgreement:
    limits = variant_limits(precision)
    return LogitAgreement(limits, images, agrees, images, {"logits": 0.1}, 0.01)


@pytest.mark.parametrize(
    ("precision", "images", "agrees", "holds"),
    [
        ("float32", 8, 8, True),
        ("float32", 8, 7, True),
        ("float32", 8, 6, False),
        ("float32", 200, 199, True),
        ("float32", 200, 198, False),
        ("int8", 200, 196, True),
        ("int8", 200, 195, False),
    ],
)
def test_limits_of_agreement(precision: str, images: int, agrees: int, holds: bool) -> None:
    assert an_agreement(precision, images, agrees).holds is holds


def test_logits_that_are_not_finite_never_agree() -> None:
    expected = np.eye(8, 10, dtype=np.float32)
    got = expected.copy()
    got[3, 4] = np.nan
    for limits in (variant_limits("int8"), EXPORT_LIMITS):
        matches = np.arange(8) != 3  # even on a picture whose superpixels differ
        found = compare({"logits": expected}, {"logits": got}, limits, matches)
        assert "logits are not finite" in found.failures()


def test_an_export_is_held_against_torch_where_superpixels_match() -> None:
    expected = np.eye(200, 10, dtype=np.float32)
    off = expected.copy()
    off[:3] += 5.0  # three pictures went another way
    one_way = np.zeros((200, 49), np.int8)
    other_way = one_way.copy()
    other_way[:3, 7] = 1
    found = compare(
        {"logits": expected, "membership": one_way},
        {"logits": off, "membership": other_way},
        EXPORT_LIMITS,
    )
    assert (found.membership_matches, found.max_logit_difference) == (197, 0.0)
    assert found.holds
    without = compare({"logits": expected}, {"logits": off}, EXPORT_LIMITS)
    assert without.failures() == ["logits differ by 5 where superpixels match (limit 0.0001)"]
    strict = compare(
        {"logits": expected, "membership": one_way},
        {"logits": off, "membership": other_way},
        variant_limits("float32"),
    )
    assert strict.failures() == ["superpixels differ on 3 of 200 pictures"]


def test_quantize_keeps_what_was_compiled_from_the_float_model(path: Path) -> None:
    bundle = with_engine(path)
    assert set(_kept(bundle)) == {"float", "tensorrt-fp32"}
    only = {name: bundle.manifest.variants[name] for name in _kept(bundle)}
    names = set(bundle.manifest.variants) - set(only)
    refuse_quantized(Bundle(bundle.path, structs.replace(bundle.manifest, variants=only)), names)
    with pytest.raises(InputError, match="is quantized already"):
        refuse_quantized(bundle, names)


# Engines of elsewhere ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fact", "value", "message"),
    [
        ("runtime", "tensorrt 10.1", "runtime: built for tensorrt 10.1, here is tensorrt 10.3.0"),
        ("gpu", "NVIDIA A10", "gpu: built for NVIDIA A10, here is Orin"),
        ("compute capability", "8.6", "compute capability: built for 8.6, here is 8.7"),
        ("driver", "CUDA 12.2", "driver: built for CUDA 12.2, here is CUDA 12.6"),
    ],
)  # fmt: skip
def test_an_engine_of_another_version_or_gpu_is_refused_and_rebuilt(
    fact: str, value: str, message: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = with_engine(path, ON_ORIN | {fact: value})
    pretend_orin(monkeypatch, bundle)
    with pytest.raises(BundleError, match="does not fit this machine") as caught:
        open_variant(bundle, "tensorrt-fp32")
    assert message in str(caught.value)
    assert f"edgevit compile {path} --target tensorrt" in str(caught.value)
    wanted = Wanted("tensorrt-fp32", "float", "tensorrt", "fp32", "engine", ON_ORIN)
    assert reasons_to_build(bundle, wanted) == (message,)


def test_an_engine_of_this_gpu_is_opened_and_answers(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = with_engine(path)
    pretend_orin(monkeypatch, bundle)
    found = agreement(bundle, "tensorrt-fp32", reference_set(bundle))
    assert found.top1_agrees == found.images == 8


def test_an_engine_ahead_of_time_fits_every_gpu_of_its_capability(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {key: ON_ORIN[key] for key in ("runtime", "compute capability")}
    bundle = with_engine(path, facts)
    pretend_orin(monkeypatch, bundle)
    open_variant(bundle, "tensorrt-fp32").close()


def test_an_optimised_graph_of_another_processor_is_refused(path: Path, edgevit: Command) -> None:
    edgevit("compile", path, "--target", "onnxruntime")
    bundle = Bundle.open(path)
    variant = bundle.manifest.variants["onnxruntime-fp32"]
    assert variant.build is not None
    elsewhere = {**variant.build.built_for, "processor": "a Xeon"}
    moved = structs.replace(variant, build=structs.replace(variant.build, built_for=elsewhere))
    with edit(bundle) as draft:
        draft.put("onnxruntime-fp32", moved)
    ended = edgevit("run", path, "photo.png", "--variant", "onnxruntime-fp32")
    assert ended.code == 2
    assert "processor: built for a Xeon, here is" in ended.one_message
    ended = edgevit("compile", path, "--target", "onnxruntime")
    assert ended.code == 0
    assert "compiled: processor: built for a Xeon" in ended.out


@needs_no_gpu
def test_without_a_gpu_an_engine_says_so(path: Path, edgevit: Command) -> None:
    with_engine(path)
    for command in (("run", path, "photo.png"), ("bench", path)):
        ended = edgevit(*command, "--variant", "tensorrt-fp32")
        assert ended.code == 2
        assert "No NVIDIA GPU can be used here" in ended.one_message


def test_a_truncated_engine_is_found(path: Path, edgevit: Command) -> None:
    file = with_engine(path).variant("tensorrt-fp32")
    file.write_bytes(file.read_bytes()[:-3])
    ended = edgevit("run", path, "photo.png", "--variant", "tensorrt-fp32")
    assert ended.code == 2
    assert "model.tensorrt-fp32.engine was changed" in ended.one_message


def test_an_engine_that_is_swapped_under_an_open_bundle_is_not_loaded(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = with_engine(path)
    pretend_orin(monkeypatch, bundle)
    bundle.variant("tensorrt-fp32").write_bytes(b"another engine")
    with pytest.raises(BundleError, match="is not the manifest's"):
        open_variant(bundle, "tensorrt-fp32")


def test_an_engine_without_a_hash_is_not_loaded(path: Path) -> None:
    with_engine(path)
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["files"]["model.tensorrt-fp32.engine"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="used but has no hash listed"):
        Bundle.open(path)


def test_an_engine_that_the_manifest_does_not_name_is_not_loaded(
    path: Path, edgevit: Command
) -> None:
    (path / "model.tensorrt-fp32.engine").write_bytes(b"from a stranger")
    ended = edgevit("run", path, "photo.png", "--variant", "tensorrt-fp32")
    assert ended.code == 2
    assert "has no variant 'tensorrt-fp32'" in ended.one_message


def test_a_model_to_build_from_is_no_engine(path: Path, edgevit: Command) -> None:
    ended = edgevit("run", path, "photo.png", "--variant", "onnx-int8-tensorrt")
    assert ended.code == 2
    assert "to build a TensorRT engine from, not an engine" in ended.one_message


# What it refuses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--target", "tensorrt", "--capability", "7.5"), "refuses float32 matrix products"),
        (("--target", "tensorrt", "--capability", "8.7"), "does not build for compute"),
        (("--target", "openvino", "--capability", "8.6"), "--capability is for --target tensorrt"),
        (("--target", "auto", "--batch", "1:1:8"), "--batch is for --target tensorrt"),
        (("--target", "tensorrt", "--provider", "cuda"), "are for --target onnxruntime"),
        (("--target", "openvino", "--allow-fallback"), "are for --target onnxruntime"),
        (("--target", "onnxruntime", "--provider", "cuda"), "has no CUDAExecutionProvider"),
        (("--target", "onnxruntime", "--provider", "tensorrt"), "has no TensorrtExecutionProvider"),
        (("--target", "openvino", "--precision", "fp16"), "computes on a processor in fp32, bf16"),
        (("--target", "native", "--precision", "fp16"), "computes in fp32 or int8"),
        (("--target", "onnxruntime", "--precision", "bf16"), "bf16 is for --target openvino"),
        (("--target", "onnxruntime", "--images", "nowhere"), "nowhere"),
        (("--target", "toaster"), "toaster"),
        pytest.param(
            ("--target", "tensorrt", "--capability", "8.6", "--batch", "2"),
            "was exported for batch 1; got --batch 2",
            marks=needs_tensorrt,
        ),
        pytest.param(
            ("--target", "tensorrt", "--capability", "8.6", "--batch", "x"),
            "LOW:TUNED:HIGH",
            marks=needs_tensorrt,
        ),
        pytest.param(
            ("--target", "tensorrt"),
            "No NVIDIA GPU can be used here",
            marks=[needs_tensorrt, needs_no_gpu],
        ),
    ],
)  # fmt: skip
def test_bad_options(options: tuple[str, ...], message: str, path: Path, edgevit: Command) -> None:
    before = contents(path)
    ended = edgevit("compile", path, *options)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert contents(path) == before


@pytest.mark.parametrize(
    "target", ["onnxruntime", "openvino", "native", pytest.param("tensorrt", marks=needs_tensorrt)]
)
def test_a_form_that_quantize_has_not_made(target: str, tmp_path: Path, edgevit: Command) -> None:
    path = float_copy(tmp_path / "float.edgevit")
    capability = ("--capability", "8.6") if target == "tensorrt" else ()
    ended = edgevit("compile", path, "--target", target, "--precision", "int8", *capability)
    assert ended.code == 2
    assert "has no int8 form" in ended.one_message
    assert f"--target {target} --precision int8 --data IMAGES" in ended.one_message


def test_fp16_is_made_where_it_is_needed(tmp_path: Path, edgevit: Command) -> None:
    path = float_copy(tmp_path / "float.edgevit")
    before = contents(path)
    assert edgevit("compile", path, "--target", "native", "--precision", "fp16").code == 2
    assert contents(path) == before
    ended = edgevit("compile", path, "--target", "onnxruntime", "--precision", "fp16", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["build"]["source"] == "onnx-fp16"
    assert "convert to FP16" in ended.err


@pytest.mark.slow
def test_int8_is_calibrated_where_it_is_needed(
    answered: Path, tmp_path: Path, edgevit: Command
) -> None:
    """Beside the forms that are there, which stay."""
    path = float_copy(tmp_path / "float.edgevit")
    int8 = ("--precision", "int8", "--data", answered / "train", "--json")
    for target in ("native", "openvino"):
        ended = edgevit("compile", path, "--target", target, *int8)
        assert ended.code == 0, ended.err
        assert json.loads(ended.out)["variant"] == f"{target}-int8"
    names = {"native-int8", "openvino-int8", "onnx-int8-native", "onnx-int8-openvino"}
    assert names <= Bundle.open(path).manifest.variants.keys()
    refused = edgevit("compile", path, "--target", "auto", "--data", answered)
    assert "for one target" in refused.one_message


def test_a_link_to_a_bundle_is_refused_before_the_work(
    path: Path, tmp_path: Path, edgevit: Command
) -> None:
    link = tmp_path / "link.edgevit"
    link.symlink_to(path)
    ended = edgevit("compile", link, "--target", "onnxruntime")
    assert ended.code == 2
    assert "it is a link" in ended.one_message


@pytest.mark.parametrize(
    ("field", "value"),
    [("source", 5), ("built_for", {"runtime": 3}), ("options", []), ("surprise", 1)],
)
def test_a_manifest_that_lies_about_a_build(field: str, value: object, path: Path) -> None:
    with_engine(path)
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["variants"]["tensorrt-fp32"]["build"][field] = value
    (path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="incomplete or malformed"):
        Bundle.open(path)


# The fastest that is right ------------------------------------------------------------------------


def test_auto_measures_what_runs_here_and_says_what_does_not(
    path: Path, photo_folder: Path, edgevit: Command
) -> None:
    before = set(Bundle.open(path).manifest.variants)
    ended = edgevit("compile", path, "--target", "auto", "--json")
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    table = {row["variant"]: row for row in content["table"]}
    assert {"float", "onnxruntime-fp32", "onnxruntime-int8", "tensorrt-fp16"} <= set(table)
    for row in table.values():
        assert "latency_ms_p50" in row or row["reason"], row
    chosen = table[content["variant"]]
    assert chosen["chosen"]
    assert chosen["passes"]
    clear = {name for name, row in table.items() if row.get("times_faster", 0) >= LEAST_GAIN}
    passing = {name for name in clear if table[name]["passes"]}
    assert content["variant"] in passing | {"float"}, "never one that is not clearly faster"
    assert [name for name, row in table.items() if row.get("chosen")] == [content["variant"]]
    bundle = Bundle.open(path)
    assert bundle.manifest.machines[machine_label()].variant == content["variant"]
    assert set(bundle.manifest.variants) <= before | {content["variant"]}, "the others are gone"
    assert chosen_here(bundle) == content["variant"]
    ran = json.loads(edgevit("run", path, photo_folder, "--json").out)
    assert ran["variant"] == content["variant"]
    assert content["variant"] in edgevit("inspect", path).out


@pytest.mark.slow
def test_auto_may_be_held_to_a_precision_and_keep_everything(
    path: Path, photo_folder: Path, edgevit: Command
) -> None:
    options = ("--precision", "fp32", "--keep-all", "--images", photo_folder)
    ended = edgevit("compile", path, "--target", "auto", *options)
    assert ended.code == 0, ended.err
    assert "4 of 4" in ended.out
    assert "chosen for this machine: " in ended.out
    assert "int8" not in ended.out
    assert "onnxruntime-fp32" in Bundle.open(path).manifest.variants


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch, path: Path) -> Any:
    """``choose_fastest`` on agreements and times that are given."""

    def run(
        times: dict[str, float],
        wrong: tuple[str, ...] = (),
        again: dict[str, float] | None = None,
    ) -> dict[str, Any]:
        runs = iter([times, again or times])

        def side_by_side(_: Bundle, names: list[str], threads: int) -> dict[str, Any]:
            now = next(runs)
            faster = [now["float"] / now[name] for name in names]
            return {
                "latency_ms_p50": [now[name] for name in names],
                "times_faster": faster,
                "disturbances": ["other processes used 0.50 of a core"],
            }

        def agreement(_: Bundle, name: str, *rest: object) -> LogitAgreement:
            return an_agreement("float32", 200, 100 if name in wrong else 200)

        monkeypatch.setattr(measure, "side_by_side", side_by_side)
        monkeypatch.setattr(choose, "agreement", agreement)
        candidates = choose.Candidates([n for n in times if n != "float"], {"gone": "no GPU"})
        evaluation = EvalSet(
            np.empty((0, 8, 8, 3), np.uint8), {"logits": np.empty((0, 10), np.float32)}, "none"
        )
        bundle = Bundle.open(path)
        _, choice = choose.choose_fastest(bundle, candidates, evaluation, 1, SilentProgress())
        return {"variant": choice.variant, "table": {row["variant"]: row for row in choice.table}}

    return run


def test_what_disturbed_the_measurement_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_ROUNDS", 5)
    monkeypatch.setattr(measure, "_BLOCK", 200)  # the fastest machine needs a second for them
    bundle = Bundle.open(PREBUILT_BUNDLE)
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        found = measure.side_by_side(bundle, ["float", "float"])
    finally:
        busy.kill()
        busy.wait()
    assert any("other processes used" in reason for reason in found["disturbances"])


def test_the_fastest_is_chosen(pretended: Any) -> None:
    found = pretended({"float": 2.0, "onnx-int8-openvino": 1.0, "onnx-int8-tensorrt": 1.5})
    assert found["variant"] == "onnx-int8-openvino"
    assert found["table"]["gone"] == {"variant": "gone", "reason": "no GPU"}
    disturbed = found["table"]["onnx-int8-openvino"]["disturbances"]
    assert disturbed == ["other processes used 0.50 of a core"] * 2, "measured twice"


def test_what_answers_wrong_is_not_chosen_however_fast(pretended: Any) -> None:
    found = pretended(
        {"float": 2.0, "onnx-fp16": 0.1, "onnx-int8-openvino": 1.0}, wrong=("onnx-fp16",)
    )
    assert found["variant"] == "onnx-int8-openvino"
    assert found["table"]["onnx-fp16"]["reason"] == "it does not answer as the float reference"
    assert found["table"]["onnx-fp16"]["latency_ms_p50"] == 0.1, "it is in the table all the same"


def test_if_nothing_is_faster_plain_onnx_runtime_is_chosen(pretended: Any) -> None:
    assert (
        pretended({"float": 2.0, "onnx-fp16": 2.1, "onnx-int8-openvino": 3.0})["variant"] == "float"
    )


def test_a_lucky_first_measurement_is_not_believed(pretended: Any) -> None:
    lucky = {"float": 2.0, "onnx-fp16": 1.9, "onnx-int8-openvino": 1.95}
    slower = {"float": 2.0, "onnx-fp16": 2.2, "onnx-int8-openvino": 1.95}
    assert pretended(lucky, again=slower)["variant"] == "onnx-int8-openvino"
    slowest = {"float": 2.0, "onnx-fp16": 2.2, "onnx-int8-openvino": 2.1}
    assert pretended(lucky, again=slowest)["variant"] == "float"


def test_what_quantize_judged_too_inaccurate_is_not_chosen(
    pretended: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured(manifest: Manifest, name: str) -> Variant:
        return structs.replace(
            manifest.variants[name], report={"holds": False, "max_drop_points": 0.5}
        )

    monkeypatch.setattr(Manifest, "measured", measured)
    found = pretended({"float": 2.0, "onnx-int8-openvino": 1.0})
    assert found["variant"] == "float"
    assert "loses more than 0.5 points" in found["table"]["onnx-int8-openvino"]["reason"]


@pytest.mark.slow
def test_the_benchmark_of_the_choice_runs(path: Path) -> None:
    before = contents(path)
    ended = python(ROOT / "benchmarks" / "auto_choice.py", path, "--repeat", 1, "--json")
    assert ended.code == 0, ended.err
    (row,) = json.loads(ended.out)
    assert row["chosen"] in row["times_faster"]
    assert row["chosen_over_best"] >= 1
    assert contents(path) == before, "it works on a copy"


def test_another_machine_does_not_take_this_ones_choice(path: Path) -> None:
    bundle = Bundle.open(path)
    from edgevit.bundle.bundle import MachineChoice

    choice = MachineChoice("onnx-int8-openvino", 1, (), "today")
    with edit(bundle) as draft:
        draft.choose_on_machine("another processor", choice)
    assert chosen_here(draft.bundle) == "float"
    with edit(bundle) as draft:
        draft.choose_on_machine(machine_label(), choice)
    assert chosen_here(draft.bundle) == "onnx-int8-openvino"


# Bench --------------------------------------------------------------------------------------------


@needs_openvino
@pytest.mark.slow
def test_bench_measures_a_compiled_variant_on_its_cores(tmp_path: Path, edgevit: Command) -> None:
    path = float_copy(tmp_path / "mine.edgevit")
    edgevit("compile", path, "--target", "openvino")
    short = ("--samples", 5, "--frames", 2, "--fps", 100, "--warmup", 1, "--json")
    ended = edgevit("bench", path, "--variant", "openvino-fp32", "--cores", "0", *short)
    assert ended.code == 0, ended.err
    conditions = json.loads(ended.out)["conditions"]
    assert conditions["runtime"].startswith("openvino ")
    assert conditions["runtime"].endswith(", CPU, f32")
    assert conditions["cores"] == [0]


def test_the_device_times_its_own_parts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = with_engine(path)
    pretend_orin(monkeypatch, bundle)
    pictures = str(path / "reference.npz")
    job = MeasurementJob("hot", str(path), "tensorrt-fp32", pictures, samples=3, warmup=1)
    device = measurement_process.measure_hot(job)["device_ms_p50"]
    assert set(device) == {"copy_in", "compute", "copy_out"}
    assert min(device.values()) > 0
    on_cpu = measurement_process.measure_hot(replace(job, variant="float"))
    assert on_cpu["device_ms_p50"] is None


@pytest.mark.parametrize("cores", ["a", "", "0,-1", "99999"])
def test_cores_are_numbers_of_processors(cores: str, edgevit: Command) -> None:
    ended = edgevit("bench", "--cores", cores)
    assert ended.code == 2
    assert "--cores" in ended.one_message
