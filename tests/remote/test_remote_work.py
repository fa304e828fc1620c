"""verify, eval, compile and run on a device: a real SSH server on loopback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import DeviceError
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.workflows.remote.remote_result import RemoteResult
from edgevit.zoo import PREBUILT_BUNDLE
from support import Command
from support.machines.ssh_server import Loopback, loopback, stand_in_device
from support.pictures.boxed_pictures import Objects, write_voc
from support.pictures.labelled_pictures import write_labelled

pytestmark = pytest.mark.early


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("sshd")) as started:
        yield started


@pytest.fixture
def device(
    server: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edgevit: Command
) -> Path:
    """A device that is set up and called ``box``."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("EDGEVIT_SSH", server.ssh)
    folder = stand_in_device(tmp_path / "the device")
    assert edgevit("devices", "add", "box", "loopback", "--folder", folder).code == 0
    return folder


@pytest.fixture
def labelled(tmp_path: Path, photos: list[Image]) -> Path:
    """Four pictures of two classes that the shipped model knows."""
    root = tmp_path / "pictures" / "val"
    for number, photo in enumerate(photos):
        folder = root / Bundle.open(PREBUILT_BUNDLE).manifest.classes[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image_io.write(folder / f"{number}.png", photo[::4, ::4])
    return root.parent


def stored(device: Path) -> set[str]:
    """Pictures that lie on a device, by hash."""
    return {file.name for file in (device / "pictures").rglob("*") if file.is_file()}


@pytest.mark.slow
def test_a_bundle_is_verified_there(device: Path, edgevit: Command, photo_folder: Path) -> None:
    ended = edgevit("verify", "--host", "box", "--images", photo_folder, "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert found["host"] == "box"
    assert found["holds"]
    assert found["bundle"].startswith(str(device))
    assert "torch, at export" in {c["reference"] for c in found["comparisons"]}
    assert len(stored(device)) == 4


def test_pictures_are_evaluated_there_and_sent_once(
    device: Path, edgevit: Command, labelled: Path, photos: list[Image]
) -> None:
    here = edgevit("eval", labelled, "--json")
    there = edgevit("eval", labelled, "--host", "box", "--json")
    assert there.code == 0, there.err
    assert "4 pictures sent" in there.err
    ours, theirs = json.loads(here.out), json.loads(there.out)
    assert theirs["picture_set"] == ours["picture_set"], "the same pictures, by hash and by name"
    assert theirs["top1"] == ours["top1"]
    (folder, *_) = (labelled / "val").iterdir()
    image_io.write(folder / "more.png", photos[0][::3, ::3])
    again = edgevit("eval", labelled, "--host", "box")
    assert again.code == 0, again.err
    assert "1 pictures sent" in again.err
    assert "on box:" in again.out
    assert str(device) not in again.out, "a person knows the bundle by its name"


@pytest.mark.slow
@pytest.mark.parametrize(
    "task", ["segmentation", pytest.param("detection", marks=pytest.mark.slow)]
)
def test_masks_and_boxes_are_evaluated_there(
    task: str,
    device: Path,
    edgevit: Command,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if task == "segmentation":
        bundle, key = request.getfixturevalue("colour_segmenter"), "miou"
        write_labelled(tmp_path / "data" / "val", 3)
    else:
        bundle, key = request.getfixturevalue("colour_detector"), "ap50"
        objects: list[Objects] = [[("red", (8, 8, 40, 40))], [("blue", (20, 10, 60, 50))], []]
        write_voc(tmp_path / "data" / "val", objects)
    options = ("eval", bundle, "--data", tmp_path / "data", "--json")
    here, there = edgevit(*options), edgevit(*options, "--host", "box")
    assert there.code == 0, there.err
    ours, theirs = json.loads(here.out), json.loads(there.out)
    assert theirs["picture_set"] == ours["picture_set"]
    assert theirs[key] == ours[key]
    assert theirs["task"] == task


@pytest.mark.needs("native-engine")
def test_what_is_compiled_there_comes_home(device: Path, edgevit: Command, tmp_path: Path) -> None:
    ours = tmp_path / "mine.edgevit"
    shutil.copytree(PREBUILT_BUNDLE, ours)
    model = (ours / "model.onnx").stat().st_ino
    ended = edgevit("compile", ours, "--target", "onnxruntime", "--host", "box", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    opened = Bundle.open(ours, check_hashes=True)
    assert found["variant"] in opened.manifest.variants
    assert found["bundle"] == str(ours)
    assert (ours / "model.onnx").stat().st_ino == model, "what was here was not sent"
    assert (device / "bundles" / f"{opened.manifest_sha256}.edgevit").is_dir(), "deploy needs none"
    assert not list((device / "bundles").glob(".*"))
    again = edgevit("compile", ours, "--target", "onnxruntime", "--host", "box")
    assert "kept: nothing it depends on has changed" in again.out


def test_answers_come_as_they_are_given(
    device: Path, edgevit: Command, photo_folder: Path, tmp_path: Path
) -> None:
    here = edgevit("run", photo_folder, "--jsonl", "-")
    there = edgevit("run", photo_folder, "--host", "box")
    assert there.code == 0, there.err
    ours, theirs = ([json.loads(x) for x in e.out.splitlines()] for e in (here, there))
    assert [line["source"] for line in theirs] == [line["source"] for line in ours]
    assert [line["answers"] for line in theirs] == [line["answers"] for line in ours]
    assert "box: 4 answers" in there.err
    target = tmp_path / "answers.jsonl"
    options = ("--top", 1, "--frames", 2, "--jsonl", target)
    assert edgevit("run", photo_folder, "--host", "box", *options).code == 0
    lines = [json.loads(line) for line in target.read_text().splitlines()]
    assert [len(line["answers"]) for line in lines] == [1, 1]


def test_a_camera_that_is_not_there_is_said_so(device: Path, edgevit: Command) -> None:
    ended = edgevit("run", "/dev/video97", "--host", "box")
    assert ended.code == 2
    assert "loopback: " in ended.err
    assert "video97" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "-"), "Standard input is not passed on"),
        (("run", "0", "--serve", "127.0.0.1:8080"), "--serve cannot be used with --host"),
        (("verify", "--repair"), "--repair changes the bundle here"),
        (("verify", "--variant", "none"), "has no variant 'none'"),
        (("eval", "/no-such-folder"), "is not a folder"),
    ],
)
def test_what_cannot_be_done_there_is_one_message(
    arguments: tuple[str, ...], message: str, device: Path, edgevit: Command
) -> None:
    ended = edgevit(*arguments, "--host", "box")
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


# ---- devices that lie


@pytest.mark.parametrize("said", [{}, {"document": [], "text": ""}, {"document": {}, "text": 7}])
def test_what_is_no_result_is_refused(said: dict[str, object]) -> None:
    with pytest.raises(DeviceError, match="no result"):
        RemoteResult.of("box", said)


def test_a_text_from_a_device_gives_a_terminal_no_orders() -> None:
    said = {"document": {}, "text": "a\x1b[2Jb", "failure": {"message": "\x1b[2Jno", "code": 1}}
    result = RemoteResult.of("box", said)
    assert "\x1b" not in str(result)
    assert result.failure == ("[2Jno", 1)


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x"])
def test_a_picture_that_would_lie_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    from edgevit.common.errors import InputError
    from edgevit_runtimes.remote.transfer import device_pictures

    job = {"set": "0" * 64, "files": [[name, "0" * 64, 1]], "sent": []}
    for verb in (device_pictures.lacking, device_pictures.store):
        with pytest.raises(InputError, match="no name for a picture"):
            verb(tmp_path, job)
