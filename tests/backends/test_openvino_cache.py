"""What OpenVINO compiled is kept, and what was damaged is compiled anew."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.common.storage.cache import writable_cache
from edgevit_export.inspect.expose import exposed
from edgevit_runtimes.backends import openvino_cache
from edgevit_runtimes.backends.open_model import open_variant
from support import Command
from support.needs import needs_openvino
from support.zoo import float_copy

pytestmark = [pytest.mark.early, needs_openvino]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgevit.workflows.compile import compile_bundle

    path = tmp_path_factory.mktemp("openvino") / "mine.edgevit"
    bundle = Bundle.open(float_copy(path))
    compile_bundle(bundle, "openvino")
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgevit" / "openvino"


def logits(path: Path) -> np.ndarray:
    bundle = Bundle.open(path)
    with open_variant(bundle, "openvino-fp32") as runner:
        return runner.infer({"image": bundle.reference().images[:1]})["logits"]


def test_damaged_files_are_compiled_anew(
    compiled: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Path] = []
    real = openvino_cache._keep
    monkeypatch.setattr(
        openvino_cache, "_keep", lambda file, model: (kept.append(file), real(file, model))
    )
    expected = logits(compiled)
    (file,) = cache.iterdir()
    np.testing.assert_array_equal(logits(compiled), expected)
    assert kept == [file], "the second time it was there"
    whole = file.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for damaged in (b"", b"x" * 100, whole[:-1], flipped, bytes(len(whole))):
        file.write_bytes(damaged)
        np.testing.assert_array_equal(logits(compiled), expected)
        assert file.read_bytes() != damaged, "it was compiled and kept anew"
    assert len(kept) == 6


@pytest.mark.parametrize("kind", ["a file in its place", "no home"])
def test_without_a_cache_it_runs(
    compiled: Path,
    kind: str,
    photo_folder: Path,
    tmp_path: Path,
    edgevit: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if kind == "no home":
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    else:
        (tmp_path / "cache").write_text("no folder")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert writable_cache() is None
    photo = photo_folder / "photo0.png"
    ended = edgevit("run", compiled, photo, "--variant", "openvino-fp32")
    assert ended.code == 0, ended.err
    assert not (tmp_path / "nowhere").exists(), "a home that does not exist is not made"


def test_the_newest_is_kept_though_the_clock_was_set_back(
    compiled: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_cache, "_MOST_FILES", 3)
    cache.mkdir(parents=True)
    for number in range(3):
        former = cache / f"{number}.compiled"
        former.touch()
        os.utime(former, (4e9 + number, 4e9 + number))
    logits(compiled)
    kept = {file.name for file in cache.iterdir()}
    assert kept >= {"1.compiled", "2.compiled"}
    assert len(kept) == 3, "and what was compiled now"


def test_processes_at_once_keep_one_whole_file(compiled: Path, cache: Path) -> None:
    expected = logits(compiled)
    shutil.rmtree(cache)
    found: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: found.append(logits(compiled))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert all(np.array_equal(each, expected) for each in found)
    np.testing.assert_array_equal(logits(compiled), expected)
    assert len(list(cache.iterdir())) == 1


def test_a_dynamic_batch_is_verified(lla_bundle: Path, tmp_path: Path, edgevit: Command) -> None:
    """OpenVINO has no names for dynamic dimensions."""
    path = Path(shutil.copytree(lla_bundle, tmp_path / "dynamic.edgevit"))
    ended = edgevit("compile", path, "--target", "openvino")
    assert ended.code == 0, ended.err
    ended = edgevit("verify", path, "--json")
    assert ended.code == 0, ended.err
    assert "openvino-fp32" in ended.out
    bundle = Bundle.open(path)
    assert any(isinstance(size, str) for size in bundle.manifest.inputs[0].shape)
    with exposed(bundle, "openvino-fp32", ["tokens"]) as opened:  # as --tensors opens it
        open_variant(opened, "openvino-fp32").close()
