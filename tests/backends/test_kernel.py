"""The native kernels say what they need where they cannot be built.

That they give the body's bits is in test_superpixel_op.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import InputError
from edgevit.zoo.registry import PREBUILT_BUNDLE
from edgevit_runtimes.backends import kernel
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from support import Command


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_bundle_answers_the_same(native_kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(native_kernels))
    bundle = Bundle.open(PREBUILT_BUNDLE)
    feed = {"image": bundle.reference().images[:1]}
    with (
        OnnxRuntimeRunner(bundle.variant()) as native,
        OnnxRuntimeRunner(bundle.variant(), native=False) as body,
    ):
        logits = [runner.infer(feed)["logits"] for runner in (native, body)]
        np.testing.assert_allclose(*logits, atol=1e-5)


def test_building_and_removing(
    native_kernels: Path, monkeypatch: pytest.MonkeyPatch, edgevit: Command
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(native_kernels))
    assert edgevit("kernel").out.startswith("built ")
    assert str(native_kernels) in edgevit("doctor", "--json").out
    assert edgevit("kernel", "--remove").out.startswith("removed ")
    assert "nothing was built" in edgevit("kernel", "--remove").out
    assert "not built" in edgevit("doctor", "--json").out
    kernel.build()  # for the tests that follow


def test_without_headers_it_names_them(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edgevit: Command
) -> None:
    monkeypatch.setenv("ORT_INCLUDE_DIR", str(tmp_path))
    monkeypatch.setattr(kernel.shutil, "which", lambda name: f"/usr/bin/{name}")
    ended = edgevit("kernel")
    assert ended.code == 2
    assert "apt install libonnxruntime-dev" in ended.one_message
    assert not empty_cache.exists()


def test_without_a_compiler_it_names_one(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, edgevit: Command
) -> None:
    monkeypatch.setattr(kernel.shutil, "which", lambda _: None)
    ended = edgevit("kernel")
    assert ended.code == 2
    assert "apt install g++" in ended.one_message
    assert not empty_cache.exists()


def test_a_failed_compilation_leaves_nothing(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edgevit: Command
) -> None:
    """Headers that are not ONNX Runtime's, and a compiler that says so."""
    (tmp_path / kernel.HEADER).write_text("#error not the real thing")
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'x.cc:1: error: not the real thing' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("ORT_INCLUDE_DIR", str(tmp_path))
    monkeypatch.setattr(kernel.shutil, "which", lambda _: str(compiler))
    ended = edgevit("kernel")
    assert ended.code == 2
    assert "not the real thing" in ended.one_message
    assert list((empty_cache / "edgevit").iterdir()) == []


def test_a_library_that_is_none_is_a_clear_error(empty_cache: Path, edgevit: Command) -> None:
    path = kernel._library_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a library")
    with pytest.raises(InputError, match="edgevit kernel --remove"):
        OnnxRuntimeRunner(Bundle.open(PREBUILT_BUNDLE).variant())
