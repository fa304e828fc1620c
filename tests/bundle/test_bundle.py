"""A bundle is whole, or it is refused."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgevit.bundle.bundle import SCHEMA, Bundle
from edgevit.bundle.compiled import Built, Wanted, ensure
from edgevit.bundle.edit import edit as edit_bundle
from edgevit.bundle.reports import CompileOptions, read_report
from edgevit.common.errors import BundleError, DamagedError
from edgevit.common.installation.install_command import upgrade_advice
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.backends.onnxruntime_runner import PROVIDERS
from support import Command
from support.needs import NO_CUDA_PROVIDER
from support.zoo import float_copy

_TORCH = "torch against ONNX Runtime"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return float_copy(tmp_path / "copy.edgevit")


def edit(bundle: Path, **changes: object) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | changes))


def test_the_prebuilt_bundle_is_trained_and_says_how_to_feed_it() -> None:
    manifest = Bundle.open(PREBUILT_BUNDLE).manifest
    assert manifest.model.trained
    assert manifest.preprocess.resize == "squash"
    assert manifest.preprocess.size_px == 160
    assert len(manifest.classes) == 200
    assert [str(s) for s in manifest.inputs] == ["image uint8[1, 160, 160, 3]"]
    size = sum(f.stat().st_size for f in PREBUILT_BUNDLE.iterdir())
    assert size < 13e6


def test_the_reference_holds_pictures_and_answers() -> None:
    reference = Bundle.open(PREBUILT_BUNDLE).reference()
    assert reference.images.dtype == np.uint8
    assert reference.images.shape[1:] == (160, 160, 3)
    assert reference.outputs["logits"].shape == (len(reference.images), 200)


@pytest.mark.parametrize("file", ["model.onnx", "reference.npz"])
def test_a_changed_byte_is_found(bundle: Path, file: str, edgevit: Command) -> None:
    data = bytearray((bundle / file).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / file).write_bytes(data)
    with pytest.raises(DamagedError, match=f"{file} was changed after export"):
        Bundle.open(bundle, check_hashes=True)
    with pytest.raises(DamagedError, match=f"{file} was changed after export"):
        Bundle.open(bundle).file(file)
    ended = edgevit("bench", bundle)
    assert ended.code == 2
    assert file in ended.one_message


def test_a_missing_file_is_named(bundle: Path, edgevit: Command) -> None:
    (bundle / "model.onnx").unlink()
    ended = edgevit("run", bundle, "photo.jpg")
    assert ended.code == 2
    assert "model.onnx is missing" in ended.one_message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "no schema number"),
        ('{"schema": "1"}', "no schema number"),
        ('{"schema": 1}', "incomplete or malformed"),
        ('{"schema": 1, "preprocess": 3}', "incomplete or malformed"),
        ('{"schema": 0}', "no schema number"),
        ('{"schema": true}', "no schema number"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_broken_manifest(bundle: Path, text: str, message: str) -> None:
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=message):
        Bundle.open(bundle)


def test_a_newer_schema_says_upgrade(bundle: Path, edgevit: Command) -> None:
    edit(bundle, schema=SCHEMA + 1)
    ended = edgevit("run", bundle, "photo.jpg")
    assert ended.code == 2
    assert f"has schema {SCHEMA + 1}" in ended.one_message
    assert upgrade_advice() in ended.err


def test_a_manifest_cannot_point_outside(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    edit(bundle, files={**manifest["files"], "../../etc/passwd": {"sha256": "", "bytes": 0}})
    with pytest.raises(BundleError, match="a file outside the bundle"):
        Bundle.open(bundle)


def test_a_model_without_a_hash_is_not_loaded(bundle: Path) -> None:
    shutil.copy(bundle / "model.onnx", bundle / "model.other.onnx")
    manifest = json.loads((bundle / "manifest.json").read_text())
    other = {**manifest["variants"]["float"], "file": "model.other.onnx"}
    edit(bundle, variants={**manifest["variants"], "other": other})
    with pytest.raises(BundleError, match="no hash listed"):
        Bundle.open(bundle)


def test_an_unknown_variant_names_those_there_are(bundle: Path) -> None:
    with pytest.raises(BundleError, match="no variant 'int8'; it has float"):
        Bundle.open(bundle).variant("int8")


def test_a_manifest_that_lies_about_the_model_is_refused(bundle: Path, edgevit: Command) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    outputs = [{**manifest["outputs"][0], "dtype": "float16"}]
    edit(bundle, outputs=outputs)
    ended = edgevit("run", bundle, "photo.jpg")
    assert ended.code == 2
    assert "the manifest says otherwise" in ended.one_message


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("classes",), ["a", "b"], "does not fit 2 classes"),
        (("classes",), "abcdefghij", "classes is str, expected array"),
        (("classes",), list(range(10)), "expected str"),
        (("preprocess", "resize"), "stretch", "preprocess.resize: Invalid enum value 'stretch'"),
        (("preprocess", "colour"), "BGR", "preprocess.colour: Invalid enum value 'BGR'"),
        (("preprocess", "size_px"), 0, "pictures of 0 px"),
        (("preprocess", "size_px"), "224", "expected int"),
        (("preprocess", "size_px"), None, "expected int"),
        (("preprocess", "mean"), [0.1], "preprocess.mean: Expected `array` of length 3"),
        (("model", "name"), 5, "model.name is int, expected str"),
        (("model", "trained"), "no", "expected bool"),
        (("model", "weights_sha256"), 5, "expected str or null"),
        (("model", "surprise"), 5, "model.surprise is an unknown field"),
        (("variants",), {}, "no variant"),
        (("variants", "float", "file"), [], "expected str"),
        (("variants", "float", "file"), "/etc/passwd", "outside the bundle"),
        (("superpixel_map",), "../superpixels.onnx", "outside the bundle"),
        (("parity",), {"a": 5}, "parity.a is int, expected object"),
        (
            ("parity", _TORCH),
            {"images": 8},
            "torch against ONNX Runtime.top1_agrees is missing",
        ),
        (
            ("parity", "torch against ONNX Runtime", "max_difference"),
            {},
            "max_difference.logits is missing",
        ),
        (("variants", "float", "runtime"), "zz", "an unknown runtime 'zz'"),
        (
            ("variants", "float", "report"),
            {"accuracy": 5},
            "variants.float.report.images is missing",
        ),
        (("variants", "float", "report"), {"layers": 5}, "variants.float.report.images is missing"),
        (
            ("variants", "float", "build"),
            {"source": "float", "source_sha256": "", "options": {"provider": 5}},
            "variants.float.build.options.provider is int, expected str",
        ),
        (("outputs",), [], "there is no output logits"),
        (("inputs",), [], "does not take pictures"),
    ],
)
def test_a_manifest_is_checked_field_by_field(
    bundle: Path, path: tuple[str, ...], value: object, message: str, edgevit: Command
) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    part = manifest
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="the manifest is damaged") as caught:
        Bundle.open(bundle)
    assert message in str(caught.value)
    ended = edgevit("run", bundle, "photo.jpg")
    assert ended.code == 2
    assert message in ended.one_message


@pytest.mark.only_if(NO_CUDA_PROVIDER)
def test_a_number_that_nothing_can_have_is_refused(bundle: Path, edgevit: Command) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["model"]["parameters"] = 10**400
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert "a number of 401 digits is no figure" in edgevit("inspect", bundle).one_message
    text = json.dumps(manifest).replace(str(10**400), "1e999")
    (bundle / "manifest.json").write_text(text)
    assert "1e999 is too large for a figure" in edgevit("inspect", bundle).one_message


def test_an_absent_provider_is_named_and_not_its_gpu(bundle: Path, edgevit: Command) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["variants"]["float"]["build"] = {
        "source": "float",
        "source_sha256": "",
        "built_for": {"runtime": "onnxruntime"},
        "options": {"provider": "cuda"},
    }
    edit(bundle, **manifest)
    photo = bundle / "photo.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(photo)
    ended = edgevit("run", bundle, photo)
    assert ended.code == 2
    assert "This ONNX Runtime has no CUDAExecutionProvider" in ended.one_message


def test_every_provider_may_be_written_into_a_bundle() -> None:
    for provider in PROVIDERS:
        assert read_report(CompileOptions, {"provider": provider}, "options").provider == provider


# A damaged file of one variant -------------------------------------------------------------------


@pytest.fixture
def with_two_variants(bundle: Path) -> Path:
    """float, and one compiled for ONNX Runtime, whose file is damaged."""
    wanted = Wanted("onnxruntime-fp32", "float", "onnxruntime", "fp32", "onnx")
    model = (bundle / "model.onnx").read_bytes()
    ensure(Bundle.open(bundle), wanted, lambda _: Built(model))
    return bundle


@pytest.mark.parametrize("damage", ["changed", "lost"])
def test_a_damaged_variant_is_in_nobodys_way_and_is_compiled_again(
    with_two_variants: Path, damage: str, photo_folder: Path, edgevit: Command
) -> None:
    path, file = with_two_variants, with_two_variants / "model.onnxruntime-fp32.onnx"
    if damage == "lost":
        file.unlink()
    else:
        file.write_bytes(b"another file")
    photo = photo_folder / "photo0.png"
    assert edgevit("run", path, photo, "--variant", "float").code == 0
    ended = edgevit("run", path, photo, "--variant", "onnxruntime-fp32")
    assert ended.code == 2
    assert "model.onnxruntime-fp32.onnx" in ended.one_message
    assert f"edgevit verify {path} --repair" in ended.one_message
    ended = edgevit("run", path, photo, "--variant", "float", "--check-hashes")
    assert ended.code == 2
    assert "model.onnxruntime-fp32.onnx" in ended.one_message
    ended = edgevit("compile", path, "--target", "onnxruntime", "--json")
    assert ended.code == 0, ended.err
    (reason,) = [r for r in json.loads(ended.out)["reasons"] if r.startswith("its file")]
    assert ("is missing" if damage == "lost" else "was changed") in reason
    assert edgevit("run", path, photo, "--variant", "onnxruntime-fp32").code == 0


def test_repair_drops_what_is_damaged_and_says_how_to_make_it_again(
    with_two_variants: Path, edgevit: Command
) -> None:
    path = with_two_variants
    (path / "model.onnxruntime-fp32.onnx").write_bytes(b"another file")
    assert "Verification failed for onnxruntime-fp32" in edgevit("verify", path).err
    ended = edgevit("verify", path, "--repair", "--json")
    assert ended.code == 0, ended.err
    dropped = json.loads(ended.out)["dropped"]["onnxruntime-fp32"]
    assert dropped["again"] == f"edgevit compile {path} --target onnxruntime --precision fp32"
    assert set(Bundle.open(path, check_hashes=True).manifest.variants) == {"float"}
    assert not (path / "model.onnxruntime-fp32.onnx").exists()


@pytest.mark.parametrize("file", ["model.onnx", "reference.npz", "superpixels.onnx"])
def test_what_cannot_be_made_again_is_not_dropped(
    with_two_variants: Path, file: str, edgevit: Command
) -> None:
    (with_two_variants / file).write_bytes(b"another file")
    before = sorted(with_two_variants.iterdir())
    ended = edgevit("verify", with_two_variants, "--repair")
    assert ended.code == 2
    assert f"{file} cannot be made again" in ended.one_message
    assert sorted(with_two_variants.iterdir()) == before


def test_opening_reads_no_file_whose_hash_is_remembered(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgevit.common.storage import hashes

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for file in bundle.iterdir():
        os.utime(file, (1, 1))  # written long ago
    Bundle.open(bundle, check_hashes=True)
    read: list[Path] = []
    real = hashes.sha256_of
    monkeypatch.setattr(hashes, "sha256_of", lambda path: (read.append(path), real(path))[1])
    opened = Bundle.open(bundle)
    opened.variant()
    opened.reference()
    opened.superpixel_map()
    assert read == []
    with edit_bundle(opened) as draft:
        draft.write("extra.txt", lambda file: file.write_text("more"))
    draft.bundle.variant()
    assert read == [], "its hash is remembered beyond an edit that kept it"
    Bundle.open(bundle, check_hashes=True)
    assert len(read) == len(opened.manifest.files) + 1
