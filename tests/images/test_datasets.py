"""Folders of pictures and files of class names, as people have them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from edgevit.common.errors import InputError
from edgevit.common.untrusted.bounded import read_text
from edgevit.images import image_files
from edgevit.images.image_folder import ImageFolder
from edgevit.images.image_io import Image
from support import Command, python, write_png
from support.pictures.files import saved

KINDS = {
    "jfif": "JPEG",
    "jpe": "JPEG",
    "JPG": "JPEG",
    "gif": "GIF",
    "avif": "AVIF",
    "jp2": "JPEG2000",
    "pgm": "PPM",
    "dib": "BMP",
}


def test_every_format_that_is_read_is_listed(tmp_path: Path, photos: list[Image]) -> None:
    """Half of the pictures were left out in silence."""
    for suffix, kind in KINDS.items():
        mode = "L" if suffix == "pgm" else None
        (tmp_path / f"x.{suffix}").write_bytes(saved(photos[0][:20, :20], kind, mode=mode))
    assert len(image_files.files_in(tmp_path)) == len(KINDS)


def test_what_is_left_out_is_counted_and_named_by_reason(
    tmp_path: Path, edgevit: Command, photos: list[Image]
) -> None:
    """For every command that reads a folder."""
    alp = tmp_path / "alp"
    for folder in (alp, alp / ".ipynb_checkpoints", alp / "__MACOSX", tmp_path / ".cache"):
        folder.mkdir()
        write_png(folder / "x.png", photos[0])
    write_png(alp / "._x.png", photos[0])
    (alp / "x.heic").write_bytes(b"")
    (alp / "notes.txt").write_text("")
    (alp / "broken.png").symlink_to("nowhere.png")
    os.mkfifo(alp / "pipe.png")
    (alp / "round").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "loose.png").write_bytes(b"")
    folder = ImageFolder.open(tmp_path)
    assert [file.name for file in folder.files] == ["x.png"]
    named = {reason: [path.name for path in paths] for reason, paths in folder.left_out.items()}
    assert named[image_files.HIDDEN] == [".cache", "._x.png", ".ipynb_checkpoints", "__MACOSX"]
    assert named[image_files.UNREAD] == ["x.heic"]
    assert named[image_files.OTHER] == ["notes.txt"]
    assert named[image_files.IRREGULAR] == ["broken.png", "pipe.png"]
    ended = edgevit("eval", "--data", tmp_path, "--json")
    assert ended.code == 0
    assert "4 hidden (.cache, ._x.png, .ipynb_checkpoints, __MACOSX)" in ended.err
    assert "x.heic" in ended.err
    assert json.loads(ended.out)["left_out"][image_files.HIDDEN] == 4


def test_links_to_folders_are_followed_once(tmp_path: Path, photos: list[Image]) -> None:
    """A class may lie on another disk; a link to the folder above ends nothing."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "more").mkdir(parents=True)
    write_png(elsewhere / "a.png", photos[0])
    write_png(elsewhere / "more" / "b.png", photos[1])
    root = tmp_path / "data"
    (root / "cat").mkdir(parents=True)
    (root / "dog").symlink_to(elsewhere, target_is_directory=True)
    (root / "cat" / "linked").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "more" / "up").symlink_to(elsewhere, target_is_directory=True)
    folder = ImageFolder.open(root)
    assert folder.classes == ("cat", "dog")
    assert [folder.labels.count(label) for label in (0, 1)] == [2, 2]
    assert len(folder.left_out[image_files.REPEATED]) == 2


def test_a_folder_without_pictures_says_what_is_there(tmp_path: Path, edgevit: Command) -> None:
    """6."""
    (tmp_path / "x.heic").write_bytes(b"")
    assert (
        "1 pictures of a format that is not read (x.heic)" in edgevit("run", tmp_path).one_message
    )


def test_globs_take_no_hidden_files(tmp_path: Path, edgevit: Command, photos: list[Image]) -> None:
    """6."""
    for name in ("a.png", "._a.png"):
        write_png(tmp_path / name, photos[0])
    ended = edgevit("run", f"{tmp_path}/*.png", "--json")
    assert [Path(r["image"]).name for r in json.loads(ended.out)["results"]] == ["a.png"]


@pytest.mark.parametrize("same", ["folder", "copies"])
def test_training_pictures_do_not_validate(
    class_folder: Path, tmp_path: Path, edgevit: Command, same: str
) -> None:
    """6: ``train`` took one folder as both."""
    other = class_folder
    if same == "copies":
        other = tmp_path / "copies"
        for file in sorted(class_folder.rglob("*.png"))[::3]:
            (other / file.parent.name).mkdir(parents=True, exist_ok=True)
            (other / file.parent.name / f"copy_{file.name}").write_bytes(file.read_bytes())
    ended = edgevit(
        "train", "--data", class_folder, "--val-data", other, "--output", tmp_path / "run"
    )
    assert ended.code == 2
    assert "are among the training images" in ended.one_message
    assert not (tmp_path / "run").exists()


def test_a_class_is_named_in_utf8(tmp_path: Path, photos: list[Image]) -> None:
    """Half a character can be written to no file."""
    for name in (b"caf\xe9", b"red\x1b[31m"):
        root = tmp_path / str(len(name))
        folder = Path(os.fsdecode(os.fsencode(root) + b"/" + name))
        folder.mkdir(parents=True)
        write_png(root / "x.png", photos[0])
        (root / "x.png").rename(folder / "x.png")
        with pytest.raises(InputError, match="not UTF-8, or control characters"):
            ImageFolder.open(root)


NAMES = "äpple\n犬\n\ndog\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le with BOM", "utf-16-be with BOM"]
)
def test_class_files_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    """As Windows' editors write them."""
    from edgevit.cli.options import class_names

    path = tmp_path / "names.txt"
    name, _, mark = encoding.partition(" with ")
    path.write_bytes((("\ufeff" if mark else "") + NAMES.replace("\n", "\r\n")).encode(name))
    assert class_names(str(path)) == ("äpple", "犬", "dog")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("dog\näpple".encode("latin-1"), "line 2 holds the byte 0xe4"),
        ("dog\ncat".encode("utf-16-le"), "UTF-16 without a byte order mark"),
        (b"dog\ncat\ndog\ncat \n", "'dog' (lines 1, 3), 'cat' (lines 2, 4)"),
        (b"\n \n", "no class name"),
        (b"dog\nc\x1b[31mat\n", "line 2"),
        (b"", "no class name"),
    ],
)
def test_class_files_that_cannot_be_read(
    tmp_path: Path, edgevit: Command, content: bytes, message: str
) -> None:
    """Latin-1 and UTF-16 were read wrongly, in silence; what is there twice was not named."""
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    ended = edgevit("export", "--classes", path, "--output", tmp_path / "x.edgevit")
    assert ended.code == 2
    assert message in ended.one_message


def test_the_command_for_a_latin_1_file_can_be_pasted(tmp_path: Path) -> None:
    path = tmp_path / "my names.txt"
    path.write_bytes("dog\näpple".encode("latin-1"))
    with pytest.raises(InputError) as refused:
        read_text(path, 1000)
    command = str(refused.value).partition("if it is Latin-1: ")[2]
    subprocess.run(["sh", "-c", command], check=True)
    assert read_text(tmp_path / "my names.txt.utf8", 1000) == "dog\näpple"


def test_one_class_with_one_picture_is_named(tmp_path: Path, photos: list[Image]) -> None:
    """A tenth cannot be held out of it."""
    for name, count in (("cat", 3), ("dog", 1)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(count):
            write_png(tmp_path / "data" / name / f"{i}.png", photos[i])
    ended = python(
        "-m", "edgevit", "train", "--data", tmp_path / "data", "--output", tmp_path / "run"
    )
    assert ended.code == 2
    assert "Class 'dog' has only one image" in ended.err
    assert "Traceback" not in ended.err
