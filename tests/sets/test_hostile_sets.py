"""Hostile data sets, option files and outputs: one message, little memory, nothing replaced."""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet as pq
import pytest

from edgevit.common.errors import InputError
from edgevit.common.storage.locks import lock_file, locked
from edgevit.images.image_io import Image
from edgevit.images.labelled_boxes.coco_json import read_coco
from edgevit.images.shards.image_shards import ImageShards
from edgevit.workflows.sets.picture_items import items_of
from edgevit_runtimes.remote.device_list import devices_file
from support import Command
from support.fuzzing import data_sets
from support.fuzzing.sandbox import Subject, outcome_of
from support.fuzzing.small_bundle import small_bundle
from support.made_results import made
from support.pictures.arrays import write_png
from support.processes import environment, python

INPUTS = 100
HEADER_CLAIM = 1 << 40


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    made_subjects = data_sets.subjects(tmp_path_factory.mktemp("fuzz"), 0)
    return {subject.name: subject for subject in made_subjects}


@pytest.mark.parametrize(
    "kind",
    [
        *("archive .tar", "archive .zip", "parquet", "COCO annotations", "VOC annotation"),
        *("config .toml", "config .yaml"),
    ],
)
def test_a_changed_file_is_read_or_refused(kind: str, subjects: dict[str, Subject]) -> None:
    outcomes = {outcome_of(subjects[kind], subjects[kind].make(n)) for n in range(INPUTS)}
    assert outcomes == {"answer", "refusal"}


# The list of devices -----------------------------------------------------------------------------


def test_a_long_key_in_the_list_of_devices(
    tmp_path: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    devices_file().parent.mkdir()
    devices_file().write_text(f"[a]\nhost = 'pi'\n[b{'.b' * 20_000}]\n")
    ended = edgevit("devices", "list")
    assert ended.code == 2
    assert "a key has more than 20 parts (at line 3)" in ended.one_message


# Data sets ---------------------------------------------------------------------------------------


def test_values_that_parquet_stores_once_are_not_multiplied(tmp_path: Path) -> None:
    """4 GB, were they written out."""
    values = pyarrow.DictionaryArray.from_arrays(
        pyarrow.array([0] * 2000), pyarrow.array([b"x" * (2 << 20)])
    )
    file = tmp_path / "set.parquet"
    pq.write_table(pyarrow.table({"bytes": values}), file, store_schema=False)
    items = list(items_of([str(file)]))
    before = _peak_mib()
    with pytest.raises(InputError, match=r"set\.parquet#1999"):
        items[-1].picture()
    assert _peak_mib() - before < 200


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ({"path": ["x" * 5000]}, {}, "a name of 5000 characters; a file's has at most 4096"),
        ({"path": [3]}, {}, "holds int, expected a name"),
        ({"path": [None]}, {}, "holds nothing, expected a name"),
        (
            {"bytes": [b"x"]},
            {"use_dictionary": False, "column_encoding": {"bytes": "DELTA_BYTE_ARRAY"}},
            "DELTA_BYTE_ARRAY, in which some bytes may stand for gigabytes",
        ),
        ({f"column{n}": [1] for n in range(999)}, {}, "expected 'path'"),
    ],
)
def test_parquet_that_is_no_set_of_pictures(
    values: dict[str, list[object]], options: dict[str, object], message: str, tmp_path: Path
) -> None:
    pq.write_table(pyarrow.table(values), tmp_path / "set.parquet", **options)
    with pytest.raises(InputError) as refused:
        list(items_of([str(tmp_path / "set.parquet")]))
    assert message in str(refused.value)
    assert len(str(refused.value)) < 500 + len(str(tmp_path))


def test_every_changed_bit_of_a_parquet_footer_is_read_or_refused(tmp_path: Path) -> None:
    """Some of them end the process in pyarrow 26, once it is asked for a column's metadata."""
    file = tmp_path / "set.parquet"
    pq.write_table(pyarrow.table({"path": ["a.png"]}), file)
    whole = file.read_bytes()
    footer_bytes = int.from_bytes(whole[-8:-4], "little") + 8
    refused = 0
    for bit in range(8 * (len(whole) - footer_bytes), 8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        file.write_bytes(changed)
        try:
            list(items_of([str(file)]))
        except InputError:
            refused += 1
    assert 0 < refused < 8 * footer_bytes


def test_a_nested_column_is_measured_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevit.workflows.sets.picture_items._LARGEST_GROUP_BYTES", 100)
    file = tmp_path / "set.parquet"
    pq.write_table(pyarrow.table({"bytes": [[b"x" * 1000]]}), file)
    with pytest.raises(InputError, match="in one row group; at most"):
        list(items_of([str(file)]))


def test_pictures_and_answers_whose_names_are_not_utf8(
    tmp_path: Path, edgevit: Command, photo: Image
) -> None:
    bundle = small_bundle(tmp_path / "small.edgevit").path
    pictures, output = tmp_path / "pictures", os.fsdecode(b"answers\xff.parquet")
    pictures.mkdir()
    write_png(pictures / "a.png", photo)
    (pictures / "a.png").rename(pictures / os.fsdecode(b"\xff.png"))
    (pictures / os.fsdecode(b"\xfe.png")).write_bytes(b"no picture")
    ended = edgevit("predict", bundle, pictures, "-o", tmp_path / output)
    assert ended.code in (0, 1), ended.err
    with (tmp_path / output).open("rb") as file:
        rows = pq.read_table(file).to_pylist()
    assert [Path(row["image"]).name for row in rows] == ["\\xfe.png", "\\xff.png"]
    assert [row["label"] is None for row in rows] == [True, False]


@pytest.fixture
def photo(photos: list[Image]) -> Image:
    return photos[0]


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_tar_whose_header_claims_a_terabyte(kind: bytes, tmp_path: Path) -> None:
    header = tarfile.TarInfo("cat/a.png")
    header.type, header.size = kind, HEADER_CLAIM
    with (tmp_path / "some.tar").open("wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.truncate(2 << 30)  # sparse: a few bytes on disk
    with pytest.raises(InputError, match="a header in it claims 1099511627776 bytes"):
        ImageShards.open(tmp_path)


def test_a_zip_whose_list_claims_gigabytes(tmp_path: Path) -> None:
    size = 3 << 30
    with (tmp_path / "some.zip").open("wb") as file:
        file.truncate(size)  # sparse
        file.seek(size)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size - 100, 0, 0))
    with pytest.raises(InputError, match=f"a header in it claims {size - 100} bytes"):
        ImageShards.open(tmp_path)


def test_a_label_in_an_archive_is_short(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "some.tar", "w") as tar:
        for name, content in {"a.png": b"x", "a.cls": b"c" * 70_000}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(InputError, match=r"a\.cls .* claims 70000 bytes; at most 65536 are read"):
        ImageShards.open(tmp_path)


def test_what_is_not_needed_of_annotations_takes_no_memory(tmp_path: Path) -> None:
    """As Python's objects, 8 million empty lists take half a gigabyte."""
    file = tmp_path / "boxes.json"
    needed = json.dumps({"images": [{"id": 1, "file_name": "a.png"}], "categories": []})
    file.write_text('{"segmentation": [' + "[]," * (8 << 20) + "[]], " + needed[1:])
    before = _peak_mib()
    assert len(read_coco(file).images) == 1
    assert _peak_mib() - before < 200


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


# Places ------------------------------------------------------------------------------------------


def test_a_link_that_leads_round_is_no_result(tmp_path: Path, edgevit: Command) -> None:
    (tmp_path / "a.json").symlink_to("a.json")
    ended = edgevit("report", tmp_path / "a.json", "-o", tmp_path / "page.html")
    assert ended.code == 2
    assert "Too many levels of symbolic links" in ended.one_message


@pytest.mark.parametrize("place", ["", ".", "/", ".."])
def test_the_folder_one_stands_in_is_a_bundle_or_none(
    place: str, tmp_path: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_bundle(tmp_path / "small.edgevit").path)
    ended = edgevit("inspect", place)
    if place in ("", "."):
        assert ended.code == 0, ended.err
    else:
        assert ended.code == 2
        assert "is not a bundle" in ended.one_message


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_an_output_takes_no_place_of_a_pipe_or_device(
    make: Callable[[Path], None], tmp_path: Path, edgevit: Command
) -> None:
    result, output = tmp_path / "result.json", tmp_path / "page.html"
    result.write_text(json.dumps(made()))
    make(output)
    ended = edgevit("report", result, "-o", output)
    assert ended.code == 2
    assert "only a regular file is replaced" in ended.one_message
    assert not output.is_file()


def test_a_link_in_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    lock_file(tmp_path / "bundle").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"), locked(tmp_path / "bundle"):
        raise AssertionError("locked")
    assert (tmp_path / "victim").read_text() == "precious"


# Streams and signals -----------------------------------------------------------------------------


def test_a_reader_that_has_enough_ends_the_command_quietly() -> None:
    command = f"set -o pipefail; {sys.executable} -m edgevit models --json | true"
    ended = subprocess.run(
        ["bash", "-c", command], capture_output=True, check=False, env=environment()
    )
    assert ended.returncode == 128 + signal.SIGPIPE
    assert not ended.stderr


def test_a_full_standard_error_leaves_the_exit_code() -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "edgevit", "inspect", "/nothing/there"],
            stderr=full,
            check=False,
            env=environment(),
        )
    assert ended.returncode == 2


def test_the_end_of_the_terminal_ends_a_command_in_order() -> None:
    """``nohup`` makes it ignore that."""
    script = (
        "import os, signal, sys, edgevit.cli as cli\n"
        "signal.signal(signal.SIGHUP, getattr(signal, sys.argv[1]))\n"
        "cli._run = lambda: os.kill(os.getpid(), signal.SIGHUP) or 0\n"
        "cli.main()"
    )
    ended = python("-c", script, "SIG_DFL")
    assert ended.code == 128 + signal.SIGHUP
    assert "nothing was left half-written" in ended.err
    assert python("-c", script, "SIG_IGN").code == 0
