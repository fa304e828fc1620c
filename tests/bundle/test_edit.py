"""A bundle is changed by one process at a time, whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from edgevit.bundle.bundle import Bundle, MachineChoice, Variant
from edgevit.bundle.compiled import Built, Wanted, ensure
from edgevit.bundle.edit import edit
from edgevit.bundle.manifest import SCHEMA_MINOR
from edgevit.common.errors import BundleError, InputError
from edgevit.common.storage import folders
from edgevit.common.storage.folders import exchange
from edgevit.common.storage.locks import lock_file, locked
from support import Command
from support.needs import NOT_ROOT, not_here
from support.processes import environment
from support.zoo import float_copy


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return float_copy(tmp_path / "mine.edgevit")


def wanted(name: str) -> Wanted:
    return Wanted(name, "float", "onnxruntime", "fp32", "onnx")


def beside(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def with_variant(path: Path, name: str, content: bytes) -> Bundle:
    with edit(Bundle.open(path)) as draft:
        draft.write(f"model.{name}.onnx", lambda file: file.write_bytes(content))
        draft.put(name, Variant(f"model.{name}.onnx", "float32", "float32"))
    return draft.bundle


def test_files_that_stay_are_neither_copied_nor_hashed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgevit.bundle import edit as module

    hashed: list[str] = []
    real = module.sha256_of
    monkeypatch.setattr(module, "sha256_of", lambda f: (hashed.append(f.name), real(f))[1])
    inodes = {file.name: file.stat().st_ino for file in path.iterdir()}
    bundle = with_variant(path, "new", b"1")
    assert hashed == ["model.new.onnx"]
    for name in ("model.onnx", "superpixels.onnx", "reference.npz"):
        assert (path / name).stat().st_ino == inodes[name]
    assert bundle.variant("new").read_bytes() == b"1"
    assert Bundle.open(path, check_hashes=True).manifest == bundle.manifest
    assert beside(path) == ["mine.edgevit"]


def test_a_change_of_the_manifest_alone_touches_no_file(path: Path) -> None:
    before = {file.name: file.stat() for file in path.iterdir() if file.suffix != ".json"}
    folder = path.stat().st_ino
    with edit(Bundle.open(path)) as draft:
        draft.choose_on_machine("here", MachineChoice("float", 1, (), "today"))
    assert path.stat().st_ino == folder
    assert {file.name: file.stat() for file in path.iterdir() if file.suffix != ".json"} == before
    assert draft.bundle.manifest.machines["here"].variant == "float"


def test_nothing_changed_is_nothing_written(path: Path) -> None:
    bundle = with_variant(path, "new", b"1")
    before = (path / "manifest.json").stat()
    with edit(bundle):
        assert beside(path) != ["mine.edgevit"], "it is locked"
    assert (path / "manifest.json").stat() == before


def test_an_error_in_the_block_leaves_the_bundle_as_it_was(path: Path) -> None:
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    with pytest.raises(ValueError, match="boom"), edit(Bundle.open(path)) as draft:
        draft.write("model.half.onnx", lambda file: file.write_bytes(b"half"))
        raise ValueError("boom")
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before
    assert beside(path) == ["mine.edgevit"]


def test_what_two_writers_add_at_once_is_all_there(path: Path) -> None:
    """Each opens the bundle first, as it is before any of them has written."""
    opened = [Bundle.open(path) for _ in range(8)]

    def compile_it(i: int) -> None:
        ensure(opened[i], wanted(f"onnxruntime-{i}"), lambda _: Built(str(i).encode()))

    threads = [threading.Thread(target=compile_it, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bundle = Bundle.open(path, check_hashes=True)
    for i in range(8):
        assert bundle.variant(f"onnxruntime-{i}").read_bytes() == str(i).encode()
    listed = {"manifest.json", *bundle.manifest.files}
    assert {file.name for file in path.iterdir()} == listed, "no orphan is left"


def test_work_on_a_model_that_was_replaced_meanwhile_is_not_kept(path: Path) -> None:
    def compile_it(_: Path) -> Built:
        with edit(Bundle.open(path)) as draft:  # as another process may, in these minutes
            draft.write("model.onnx", lambda file: file.write_bytes(b"another model"))
        return Built(b"of the old one")

    with pytest.raises(BundleError, match="another process has replaced 'float' since"):
        ensure(Bundle.open(path), wanted("onnxruntime-fp32"), compile_it)
    assert set(Bundle.open(path).manifest.variants) == {"float"}


def test_the_second_writer_waits_and_then_says_who_is_first(path: Path) -> None:
    bundle = Bundle.open(path)
    with locked(path):
        began = time.monotonic()
        message = f"is writing .* right now .process {os.getpid()}."
        with pytest.raises(InputError, match=message), edit(bundle, wait_s=0.3):
            raise AssertionError("it is locked")
        assert time.monotonic() - began > 0.25
        late = threading.Thread(target=with_variant, args=(path, "late", b"2"))
        late.start()
    late.join()
    assert "late" in Bundle.open(path).manifest.variants


@pytest.mark.parametrize("can_exchange", [True, False])
def test_the_bundle_is_there_at_every_moment(
    path: Path, can_exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one rename, or with two and a former folder that is waited for."""
    if can_exchange and not exchange_works(path.parent):
        not_here("this file system cannot exchange two folders")
    if not can_exchange:
        monkeypatch.setattr(folders, "exchange", lambda *_: False)
    ended = threading.Event()
    wrong: list[str] = []

    def look() -> None:
        while not ended.is_set():
            try:
                Bundle.open(path)
            except BundleError as error:
                wrong.append(str(error))

    reader = threading.Thread(target=look)
    reader.start()
    for i in range(20):
        with_variant(path, "new", str(i).encode())
    ended.set()
    reader.join()
    assert wrong == [] or not can_exchange
    assert Bundle.open(path).variant("new").read_bytes() == b"19"
    assert beside(path) == ["mine.edgevit"]


def exchange_works(folder: Path) -> bool:
    first, second = folder / "first", folder / "second"
    first.mkdir()
    second.mkdir()
    try:
        return exchange(first, second)
    finally:
        first.rmdir()
        second.rmdir()


def test_a_signal_between_two_renames_loses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "exchange", lambda *_: False)
    real = Path.rename
    renames: list[str] = []

    def rename(self: Path, target: Path) -> Path:
        moved = real(self, target)
        renames.append(self.name)
        if len(renames) == 1:  # the bundle has just been moved aside
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        with_variant(path, "new", b"1")
    assert renames == ["mine.edgevit", ".mine.edgevit.former"]
    assert set(Bundle.open(path, check_hashes=True).manifest.variants) == {"float"}
    assert beside(path) == ["mine.edgevit"]


_KILLED_BETWEEN = """
import os, signal, sys
from pathlib import Path
from edgevit.bundle.bundle import Bundle, Variant
from edgevit.bundle.edit import edit
from edgevit.common.storage import folders
folders.exchange = lambda *_: False
real = Path.rename
def rename(self, target):
    real(self, target)
    os.kill(os.getpid(), signal.SIGKILL)
Path.rename = rename
with edit(Bundle.open(Path(sys.argv[1]))) as draft:
    draft.write("model.new.onnx", lambda file: file.write_bytes(b"1"))
    draft.put("new", Variant("model.new.onnx", "float32", "float32"))
"""


def test_what_was_killed_between_two_renames_is_recovered_by_any_command(
    path: Path, edgevit: Command
) -> None:
    subprocess.run(
        [sys.executable, "-c", _KILLED_BETWEEN, str(path)], env=environment(), check=False
    )
    assert not path.exists(), "only what was there before is left, aside"
    assert ".mine.edgevit.former" in beside(path)
    ended = edgevit("inspect", path)
    assert ended.code == 0, ended.err
    assert beside(path) == ["mine.edgevit"]
    assert set(Bundle.open(path, check_hashes=True).manifest.variants) == {"float"}


def test_a_lock_that_a_dead_process_left_holds_nobody_up(path: Path) -> None:
    lock_file(path).write_text("4194304")
    with_variant(path, "new", b"1")
    assert beside(path) == ["mine.edgevit"]


def test_a_mount_point_is_refused_before_the_work(
    path: Path,
    class_folder: Path,
    edgevit: Command,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"36 35 98:0 / {path} rw,noatime - ext4 /dev/root rw\n")
    monkeypatch.setattr(folders, "_MOUNTS", mounts)
    compiling = ("compile", path, "--target", "onnxruntime")
    for command in (compiling, ("quantize", path, "--data", class_folder)):
        ended = edgevit(*command)
        assert ended.code == 2
        assert "cannot be replaced: it is a mount point" in ended.err
    ended = edgevit("export", "--output", path, "--force")
    assert ended.code == 2
    assert "it is a mount point" in ended.err


@pytest.mark.only_if(NOT_ROOT)
def test_a_folder_that_is_not_ours_is_refused_before_the_work(path: Path) -> None:
    path.chmod(0o500)
    with pytest.raises(InputError, match="belongs to another user"), edit(Bundle.open(path)):
        raise AssertionError("it cannot be replaced")


def test_a_bundle_of_an_older_schema_is_written_in_the_present_one(path: Path) -> None:
    file = path / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema": 2}))
    bundle = Bundle.open(path)
    assert bundle.manifest.schema == 2
    with edit(bundle) as draft:
        draft.manifest = replace(draft.manifest, chosen={"openvino": "float"})
    assert draft.bundle.manifest.schema == 3
    assert draft.bundle.manifest.schema_minor == SCHEMA_MINOR
    assert f'"schema_minor": {SCHEMA_MINOR}' in (path / "manifest.json").read_text()
