"""What is said, drawn and written of names from outside."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import warnings
import zipfile
from collections import OrderedDict
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from edgevit.common.errors import CheckpointError, InputError, options_as_typed
from edgevit.common.untrusted.credentials import without_passwords
from edgevit.common.untrusted.npz import read_npz
from edgevit.common.untrusted.sanitize import harmless, printable, shortened
from edgevit.images.drawn import drawing
from edgevit.images.image_io import Image
from edgevit.models.checkpoint import read_checkpoint, save_checkpoint
from edgevit.results import plots
from edgevit.workflows.remote.deploy import deploy
from support import Command, environment, python, write_png
from support.made_results import made
from support.needs import not_here


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:secret@host/live", "rtsp://***@host/live"),
        ("rtsp:/user:secret@host/live", "rtsp:/***@host/live"),
        ("cannot open 'http://u:p/w@h:80/x'.", "cannot open 'http://***@h:80/x'."),
        ("user:p@ss@host", "***@host"),
        ("http://host/x?mail=a@b", "http://host/x?mail=a@b"),
        ("rtsp://u:/p@h and more", "rtsp://***@h and more"),
        ("a@b: no password", "a@b: no password"),
    ],
)
def test_passwords_are_hidden(text: str, shown: str) -> None:
    assert without_passwords(text) == shown


@pytest.mark.parametrize(
    "text", ["a" * 2_000_000, "a:/" * 700_000, "a:" * 1_000_000, ":" * 999_999]
)
def test_a_long_message_is_searched_once(text: str) -> None:
    """40,000 letters took 12.6 s; without the mend this runs for hours."""
    for suffix in ("", "@", ":x@y"):
        without_passwords(text + suffix)


def test_what_is_quoted_at_length_is_cut(edgevit: Command) -> None:
    """The end of a message says what to do, so it stays."""
    ended = edgevit("run", "x" * 100_000 + ".jpg")
    assert ended.code == 2
    assert len(ended.err) < 3000
    assert shortened("short") == "short"
    assert shortened("a" * 9999 + "Do this.").endswith("Do this.")


def test_no_encoding_is_too_poor(tmp_path: Path, photos: list[Image]) -> None:
    """Class names and paths beyond ASCII, on a terminal that has only that."""
    path = write_png(tmp_path / "犬.png", photos[0])
    for options in ((), ("--json",)):
        ended = subprocess.run(
            [sys.executable, "-m", "edgevit", "run", str(path), *options],
            capture_output=True,
            env={**environment(), "PYTHONIOENCODING": "ascii"},
            check=False,
            timeout=120,
        )
        assert ended.returncode == 0, ended.stderr
        assert rb"\u72ac" in ended.stdout


def test_halves_of_characters_are_shown_as_bytes() -> None:
    """A lone surrogate, of a file's name or a result."""
    assert printable("x\udcff.jpg") == "x\\xff.jpg"
    assert harmless("\ud800\x1b[31m\u202e!") == "\ufffd[31m!"


def test_a_result_with_half_a_character(tmp_path: Path, edgevit: Command) -> None:
    """22."""
    content = made()
    content["model"]["name"] = "lla\ud800"
    path = tmp_path / "result.json"
    path.write_text(json.dumps(content))
    for arguments in (("bench", "--compare", path, path), ("report", path)):
        ended = edgevit(*arguments)
        assert ended.code in (0, 2), ended.err
        assert "Traceback" not in ended.err


def test_a_million_threads_are_not_started(tmp_path: Path, edgevit: Command) -> None:
    """A result says how it was measured, and may say anything."""
    for name, value in (("threads", 1_000_000), ("batch", 10**9), ("samples", 10**12)):
        content = made()
        content["options"][name] = value
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(content))
        ended = edgevit("bench", "--repeat", path)
        assert ended.code == 2
        assert "cannot be repeated" in ended.one_message
        assert name in ended.one_message


def test_equal_weights_are_equal_files(tmp_path: Path) -> None:
    """The notes came in another order in every process."""
    script = tmp_path / "save.py"
    script.write_text(
        "import sys, torch\n"
        "from pathlib import Path\n"
        "from edgevit.models.checkpoint import save_checkpoint\n"
        "torch.manual_seed(0)\n"
        "notes = {f'note{i}': str(i) for i in range(20)}\n"
        "save_checkpoint(Path(sys.argv[1]), torch.nn.Linear(3, 2), 'm', ('a', 'b'), notes)\n"
    )
    hashes = set()
    for i in range(2):
        path = tmp_path / f"{i}.safetensors"
        assert python(script, path).code == 0
        hashes.add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(hashes) == 1
    read = read_checkpoint(tmp_path / "0.safetensors")
    assert (read.model, read.classes) == ("m", ("a", "b"))
    assert read.notes == {f"note{i}": str(i) for i in range(20)}


class Calls:
    """Pickled, it asks for a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def saved(content: object, **options: Any) -> bytes:
    buffer = BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def deflated(data: bytes) -> bytes:
    buffer = BytesIO()
    source = zipfile.ZipFile(BytesIO(data))
    with source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for member in source.infolist():
            target.writestr(member.filename, source.read(member))
    return buffer.getvalue()


LEGACY = {"_use_new_zipfile_serialization": False}


def claims() -> dict[str, bytes]:
    """Checkpoints of a few kilobytes that ask for gigabytes."""
    hundred = {"a": torch.zeros(100)}
    return {
        "a tensor": saved({"a": Calls(torch.Tensor, 4 * 10**9)}),
        "bytes": saved({"a": Calls(bytearray, 15 << 30)}),
        "a storage": saved(hundred, **LEGACY).replace(b"Kd", b"J\xff\xff\xff\x7f"),
        "an archive": deflated(saved({"a": torch.zeros(10_000_000)})),
        "expanded": saved({"a": torch.zeros(1).expand(10**10)}),
        "on no device": saved({"a": torch.empty(4 * 10**9, device="meta")}),
    }


@pytest.mark.parametrize("name", claims())
def test_a_checkpoint_is_asked_what_it_claims(tmp_path: Path, name: str) -> None:
    """15 GiB, "Tensor.item() on meta tensors"."""
    path = tmp_path / "x.pth"
    path.write_bytes(claims()[name])
    with pytest.raises(CheckpointError, match=r"claims tensors of|without values"):
        read_checkpoint(path)


@pytest.mark.parametrize("options", [{}, LEGACY])
def test_honest_checkpoints_are_read(tmp_path: Path, options: dict[str, Any]) -> None:
    """Both formats, tied weights, views, wrapped, with an optimizer beside."""
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    state = module.state_dict()
    state["tied"] = state["0.weight"]
    state["view"] = torch.zeros(10)[2:5]
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.zeros(2, 4)).sum().backward()
    optimizer.step()
    path = tmp_path / "x.pth"
    for content in (state, OrderedDict(model=state, optimizer=optimizer.state_dict(), epoch=3)):
        path.write_bytes(saved(content, **options))
        assert set(read_checkpoint(path).tensors) == set(state)


def test_arrays_are_what_their_bytes_hold(tmp_path: Path) -> None:
    """Zip bombs, "3.00 PiB"."""
    path = tmp_path / "x.npz"
    arrays = {"images": np.arange(6, dtype=np.uint8).reshape(2, 3), "x": np.ones((2, 2), order="F")}
    np.savez_compressed(path, **arrays)
    read = read_npz(path, 1 << 20)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
    np.savez_compressed(path, a=np.zeros(2 << 20, np.uint8))
    with pytest.raises(ValueError, match="unfolds to"):
        read_npz(path, 1 << 20)
    header = BytesIO()
    shape = {"shape": (1 << 50,), "fortran_order": False, "descr": "|u1"}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    with pytest.raises(ValueError, match="its 0 bytes are not"):
        read_npz(path, 1 << 20)
    np.savez(path, a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="claims object"):
        read_npz(path, 1 << 20)


NAMES = ["Größe", "собака", "犬", "$x^", "dog"]


def test_captions_have_every_script() -> None:
    """They were question marks. Every name looks different, and none like question marks."""
    import cv2

    if not hasattr(cv2, "FontFace"):
        not_here("OpenCV 4 has no font beyond ASCII")
    picture = np.full((360, 640, 3), 120, np.uint8)
    drawn = [drawing.draw_caption(picture, name).tobytes() for name in NAMES]
    unknown = [drawing.draw_caption(picture, "?" * len(name)).tobytes() for name in NAMES]
    assert len({*drawn, *unknown}) == len(NAMES) + len({len(name) for name in NAMES})


def test_a_caption_stays_inside_the_picture() -> None:
    """29."""
    for width, height in ((640, 360), (40, 30), (8, 2000)):
        picture = np.full((height, width, 3), 120, np.uint8)
        drawn = drawing.draw_caption(picture, "Größe \udcff" * 100)
        assert drawn.shape == picture.shape
        assert (drawn != picture).any()


def test_plots_say_nothing_and_show_names(tmp_path: Path) -> None:
    """Matplotlib warned of every glyph that its font lacks, and took dollars for formulas."""
    target = tmp_path / "confusion.svg"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.draw_confusion(np.eye(6, dtype=np.int64), [*NAMES, "a\ud800" * 300], target)
    assert target.stat().st_size > 1000
    script = (
        "import numpy as np; from pathlib import Path\n"
        "from edgevit.results.plots import draw_confusion\n"
        f"draw_confusion(np.eye(2, dtype=np.int64), ['\\U0001F436', '犬'], Path({str(target)!r}))"
    )
    ended = python("-c", script)
    assert (ended.code, ended.err) == (0, "")


def test_save_checkpoint_keeps_what_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    module = nn.Linear(3, 2)
    save_checkpoint(path, module, "m", ("ä", "犬"), {"seed": "0"})
    read = read_checkpoint(path)
    assert read.classes == ("ä", "犬")
    assert torch.equal(read.tensors["weight"], module.weight.half())


@pytest.mark.parametrize(
    ("typed", "called"),
    [
        ("--every must be 1 or more; got 0.", "'every' must be 1 or more; got 0."),
        ("Leave out --crop-pct, --mean.", "Leave out 'crop_pct', 'mean'."),
        (
            "Use --image-px 64, or: edgevit export --model a.b --image-px 64",
            "Use 'image_px' 64, or: edgevit export --model a.b --image-px 64",
        ),
        (
            "Run 'edgevit run --json', which gives boxes; --top is for classes.",
            "Run 'edgevit run --json', which gives boxes; 'top' is for classes.",
        ),
        (
            "With edgevit compile 'my own.edgevit' --target native. Or give --images.",
            "With edgevit compile 'my own.edgevit' --target native. Or give 'images'.",
        ),
        (
            "On the device: systemctl --user restart edgevit-main.service",
            "On the device: systemctl --user restart edgevit-main.service",
        ),
        ("a--b and x --", "a--b and x --"),
    ],
)
def test_a_program_reads_the_names_of_parameters(typed: str, called: str) -> None:
    error = InputError(typed)
    assert str(error) == called
    assert str(InputError(called)) == called
    with options_as_typed():
        assert str(error) == typed


def test_both_ways_of_asking_are_answered_in_their_own_words(
    edgevit: Command, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"^'keep' is 1 or more versions; got 0\.$"):
        deploy(tmp_path, "device", keep=0)
    ended = edgevit("run", "0", "--every", 0)
    assert "--every" in ended.one_message
