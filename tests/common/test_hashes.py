"""Hashes are remembered for what does not change, and for nothing else."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from edgevit.common.storage import hashes
from edgevit.common.storage.hashes import checked_sha256, known_sha256, sha256_of


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgevit" / "hashes.json"


def old_file(path: Path, content: bytes = b"content") -> Path:
    """A file that was last written long ago."""
    path.write_bytes(content)
    os.utime(path, ns=(1, time.time_ns() - 10_000_000_000))
    return path


def read_counter(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return sha256_of(path)

    monkeypatch.setattr(hashes, "sha256_of", counted)
    return read


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, read = old_file(tmp_path / "file"), read_counter(monkeypatch)
    assert checked_sha256(file) == checked_sha256(file) == sha256_of(file)
    assert read == [file]
    assert checked_sha256(file, fresh=True) == sha256_of(file)
    assert read == [file, file]


def test_a_file_that_changed_a_moment_ago_is_not_remembered(tmp_path: Path) -> None:
    """It could change again within the same step of the file system's clock."""
    file = tmp_path / "file"
    file.write_bytes(b"first")
    checked_sha256(file)
    assert known_sha256(file) is None


@pytest.mark.parametrize("change", ["content", "same size", "same size and time", "another file"])
def test_a_changed_file_is_read_again(tmp_path: Path, change: str) -> None:
    file = old_file(tmp_path / "file")
    checked_sha256(file)
    assert known_sha256(file) is not None
    found = file.stat()
    if change == "another file":
        other = old_file(tmp_path / "other", b"CONTENT")
        os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
        other.replace(file)
    else:
        file.write_bytes(b"more content" if change == "content" else b"CONTENT")
    if change == "same size and time":
        os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert known_sha256(file) is None
    assert checked_sha256(file) == sha256_of(file)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"1:2": 3}', '{"a": [1, 2, 3, "x"]}', "null"])
def test_a_damaged_memory_is_forgotten(tmp_path: Path, cache: Path, text: str) -> None:
    file = old_file(tmp_path / "file")
    cache.parent.mkdir(parents=True)
    cache.write_text(text)
    assert checked_sha256(file) == sha256_of(file)
    assert known_sha256(file) == sha256_of(file)


def test_a_memory_that_others_can_write_is_not_trusted(tmp_path: Path, cache: Path) -> None:
    file = old_file(tmp_path / "file")
    checked_sha256(file)
    cache.chmod(0o666)
    assert known_sha256(file) is None


def test_the_memory_is_bounded(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashes, "_MOST_ENTRIES", 5)
    files = [old_file(tmp_path / f"file{i}", str(i).encode()) for i in range(8)]
    for file in files:
        checked_sha256(file)
    assert len(json.loads(cache.read_text())) == 5
    assert [known_sha256(file) is not None for file in files] == [False] * 3 + [True] * 5


@pytest.mark.parametrize("kind", ["no home", "a file in its place", "an unknown home"])
def test_without_a_cache_everything_is_read(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = old_file(tmp_path / "file")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    if kind == "a file in its place":
        (tmp_path / "nowhere").write_text("a file")
    if kind == "an unknown home":
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    before = sorted(tmp_path.iterdir())
    assert checked_sha256(file) == sha256_of(file)
    assert known_sha256(file) is None
    assert sorted(tmp_path.iterdir()) == before, "a home that does not exist is not made"
