"""The shipped bundle answers in the native engine, and without the engine in ONNX Runtime."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

import edgevit as library
from edgevit.bundle.bundle import Bundle, MachineChoice
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.backends.native import native_library
from edgevit_runtimes.bench.conditions import accuracy
from edgevit_runtimes.devices.facts import chosen_here, fallback_note, machine_label
from support import Command
from support.needs import needs_native_engine

COMPILED = "native-int8"
NOTE = (
    "note: the native engine cannot be loaded here, so 'float' answers in place of 'native-int8'; "
    "'edgevit doctor' says what is missing"
)


@pytest.fixture(params=["not built", "for another machine"])
def no_engine(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    file = tmp_path / "libedgevit.so"
    if request.param == "for another machine":
        file.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(57))
    monkeypatch.setenv(native_library.LIBRARY_VARIABLE, str(file))
    native_library.library.cache_clear()
    yield
    monkeypatch.undo()
    native_library.library.cache_clear()


def test_its_int8_form_was_measured_and_loses_nothing_to_speak_of() -> None:
    bundle = Bundle.open(PREBUILT_BUNDLE, check_hashes=True)
    report = bundle.manifest.variants[COMPILED].accuracy()
    assert report is not None
    assert report.images > 2000
    assert report.drop_points <= 0.3
    known = accuracy(bundle, COMPILED)
    assert known is not None
    assert known["top1"] == report.top1


@needs_native_engine
def test_a_picture_is_answered_by_the_engine(photo_folder: Path, edgevit: Command) -> None:
    ended = edgevit("run", photo_folder / "photo0.png", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["variant"] == COMPILED
    assert "note" not in edgevit("run", photo_folder / "photo0.png").out
    assert edgevit("verify", PREBUILT_BUNDLE, "--variant", COMPILED).code == 0


@pytest.mark.usefixtures("no_engine")
def test_without_the_engine_the_float_model_answers_and_says_so(
    photo_folder: Path, edgevit: Command
) -> None:
    picture = photo_folder / "photo0.png"
    ended = edgevit("run", picture, "--json")
    assert (ended.code, ended.err.strip()) == (0, NOTE)
    document = json.loads(ended.out)
    assert document["variant"] == "float"
    assert library.load("lla_tiny").notes == (NOTE.removeprefix("note: "),)
    asked = edgevit("run", picture, "--json", "--variant", "float")
    assert (asked.code, asked.err) == (0, ""), "who asks for a form is told nothing of another"
    (result,), (same,) = document["results"], json.loads(asked.out)["results"]
    assert result["answers"] == same["answers"]


@pytest.mark.usefixtures("no_engine")
def test_asked_for_without_the_engine_it_is_an_error(photo_folder: Path, edgevit: Command) -> None:
    ended = edgevit("run", photo_folder / "photo0.png", "--variant", COMPILED)
    assert ended.code == 2
    assert "The native engine" in ended.one_message


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_compiling_for_it_is_refused_before_any_work(
    options: tuple[str, ...], tmp_path: Path, edgevit: Command
) -> None:
    path = shutil.copytree(PREBUILT_BUNDLE, tmp_path / "mine.edgevit")
    ended = edgevit("compile", path, "--target", "native", "--force", *options)
    assert ended.code == 2
    assert "The native engine" in ended.one_message


@pytest.mark.usefixtures("no_engine")
def test_what_was_measured_here_needs_no_note() -> None:
    shipped = Bundle.open(PREBUILT_BUNDLE)
    choice = MachineChoice("float", 1, (), "today")
    manifest = structs.replace(shipped.manifest, machines={machine_label(): choice})
    measured = replace(shipped, manifest=manifest)
    assert chosen_here(measured) == "float"
    assert fallback_note(measured) is None
    assert fallback_note(shipped) is not None


def test_inspect_shows_its_accuracy(edgevit: Command) -> None:
    ended = edgevit("inspect", PREBUILT_BUNDLE)
    assert ended.code == 0, ended.err
    assert COMPILED in ended.out
    report = Bundle.open(PREBUILT_BUNDLE).manifest.variants[COMPILED].report
    assert f"{100 * report['top1']:.2f} %" in ended.out


@pytest.mark.slow
@needs_native_engine
def test_auto_measures_it_without_the_form_that_it_was_compiled_from(
    tmp_path: Path, edgevit: Command
) -> None:
    path = shutil.copytree(PREBUILT_BUNDLE, tmp_path / "mine.edgevit")
    ended = edgevit("compile", path, "--target", "auto", "--precision", "int8", "--json")
    assert ended.code == 0, ended.err
    table = {row["variant"]: row for row in json.loads(ended.out)["table"]}
    assert table[COMPILED]["passes"]
    assert table[COMPILED]["latency_ms_p50"] > 0
    assert "no int8 form" in table["openvino-int8"]["reason"]
    assert COMPILED in Bundle.open(path, check_hashes=True).manifest.variants
