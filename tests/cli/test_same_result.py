"""The command line is a thin user of the workflows: both give the same result."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.workflows.bench import bench, compare_results
from edgevit.workflows.compile import compile_bundle
from edgevit.workflows.evaluate import evaluate
from edgevit.workflows.export import export
from edgevit.workflows.importing.import_model import import_onnx
from edgevit.workflows.inspect import inspect
from edgevit.workflows.profile import profile
from edgevit.workflows.quantize import quantize
from edgevit.workflows.train import train
from edgevit.workflows.verify import verify
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.listing import list_models
from edgevit_runtimes.doctor.examination import examine_here
from support import Command
from support.onnx_classifiers import small_classifier
from support.zoo import float_copy

pytestmark = pytest.mark.early

# What differs from run to run: times, and what follows from them.
_MEASURED = {
    "built_for",
    "conditions",
    "created",
    "disturbances",
    "durations_us",
    "facts",
    "images_per_s",
    "measured",
    "seconds",
    "speed",
}


@pytest.fixture
def copies(tmp_path: Path) -> tuple[Path, Path]:
    """Two copies of the prebuilt bundle, for two ways of changing one."""
    names = ("cli.edgevit", "api.edgevit")
    return tuple(float_copy(tmp_path / name) for name in names)


def document(ended: Any) -> Any:
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def same(one: Any, other: Any, *renamed: Path) -> None:
    """Equal but for what was measured, and for the names of the two copies."""
    assert plain(one, renamed) == plain(other, renamed)


def plain(content: Any, renamed: tuple[Path, ...]) -> Any:
    if isinstance(content, dict):
        return {k: plain(v, renamed) for k, v in content.items() if k not in _MEASURED}
    if isinstance(content, list | tuple):
        return [plain(item, renamed) for item in content]
    if isinstance(content, str) and Path(content) in renamed:
        return "the copy"
    return content


def keys(content: Any) -> Any:
    """The shape of what is measured: which figures there are, not their values."""
    return {k: keys(v) for k, v in content.items()} if isinstance(content, dict) else None


def test_export(tmp_path: Path, edgevit: Command) -> None:
    one, other = tmp_path / "cli.edgevit", tmp_path / "api.edgevit"
    options = ("--dynamic-batch", "--count", 2)
    cli = document(edgevit("export", *options, "--output", one, "--json"))
    api = export("lla_tiny", other, batch=None, parity_count=2)
    same(cli, json.loads(json.dumps(api.to_dict())), one, other)
    assert "largest logit difference" in " ".join(str(api).split())


def test_compile_verify_inspect(copies: tuple[Path, Path], edgevit: Command) -> None:
    one, other = copies
    cli = document(edgevit("compile", one, "--target", "onnxruntime", "--json"))
    api = compile_bundle(Bundle.open(other), "onnxruntime")
    same(cli, json.loads(json.dumps(api.to_dict())), *copies)
    cli = document(edgevit("verify", one, "--json"))
    same(cli, json.loads(json.dumps(verify(api.bundle).to_dict())), *copies)
    cli = document(edgevit("inspect", one, "--layers", "--json"))
    shown = inspect(api.bundle, layers=True)
    same(cli, json.loads(json.dumps(shown.to_dict())), *copies)
    assert "onnxruntime-fp32" in str(shown)


@pytest.fixture
def small_copies(tmp_path: Path) -> tuple[Path, Path]:
    """Two copies of a classifier of two layers, whose classes are ``red`` and ``blue``."""
    onnx.save(small_classifier(classes=2), tmp_path / "small.onnx")
    first = tmp_path / "cli.edgevit"
    import_onnx(tmp_path / "small.onnx", first, classes=["red", "blue"])
    return first, Path(shutil.copytree(first, tmp_path / "api.edgevit"))


def test_quantize(
    small_copies: tuple[Path, Path], class_folder: Path, tmp_path: Path, edgevit: Command
) -> None:
    copies = one, other = small_copies
    folders = (class_folder, tmp_path / "val")
    for file in class_folder.rglob("*.png"):
        target = folders[1] / file.relative_to(class_folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes() + b"other pictures, in bytes")
    options = ("--target", "tensorrt", "--images", 8, "--calibration-method", "minmax", "--json")
    cli = document(
        edgevit("quantize", one, "--data", folders[0], "--val-data", folders[1], *options)
    )
    api = quantize(Bundle.open(other), *folders, targets=["tensorrt"], images=8, method="minmax")
    same(cli, json.loads(json.dumps(api.to_dict())), *copies)


def test_evaluate(answered: Path, edgevit: Command) -> None:
    cli = document(edgevit("eval", "--data", answered, "--json"))
    api = evaluate(Bundle.open(PREBUILT_BUNDLE), answered)
    same(cli, json.loads(json.dumps(api.to_dict())))
    assert round(api.top1, 5) == cli["top1"]["share"]


def test_profile(edgevit: Command) -> None:
    cli = document(edgevit("profile", "--runs", 3, "--json"))
    api = profile(Bundle.open(PREBUILT_BUNDLE), runs=3).to_dict()
    assert [row["group"] for row in cli["profiles"][0]["groups"]] == [
        row["group"] for row in api["profiles"][0]["groups"]
    ]
    assert keys(cli) == keys(api)


def test_bench_and_compare(tmp_path: Path, edgevit: Command) -> None:
    file = tmp_path / "cli.json"
    options = ("--samples", 12, "--frames", 3, "--warmup", 1, "--output", file, "--json")
    cli = document(edgevit("bench", *options))
    api = bench(Bundle.open(PREBUILT_BUNDLE), samples=12, frames=3, warmup=1).to_dict()
    assert cli["options"] == json.loads(json.dumps(api["options"]))
    assert set(cli) == set(api)
    compared = document(edgevit("bench", "--compare", file, file, "--json"))
    assert compared == json.loads(json.dumps(compare_results([file, file]).to_dict()))


def test_train(tmp_path: Path, class_folder: Path, edgevit: Command) -> None:
    one, other = tmp_path / "cli", tmp_path / "api"
    small = ("--model", "lla_tiny_32", "--epochs", 1, "--batch", 8, "--threads", 1)
    ended = edgevit("train", "--data", class_folder, "--output", one, *small)
    assert ended.code == 0, ended.err
    api = train("lla_tiny_32", data=class_folder, output=other, epochs=1, batch=8, threads=1)
    assert (one / api.weights.name).read_bytes() == api.weights.read_bytes()
    assert "best top-1" in str(api)


def test_models_and_doctor(edgevit: Command) -> None:
    assert document(edgevit("models", "--json")) == list_models().to_dict()
    cli = document(edgevit("doctor", "--json"))
    api = examine_here().to_dict()
    assert keys(cli) == keys(api)
    assert cli["purposes"] == api["purposes"]
