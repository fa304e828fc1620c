"""Software and machines are called what they are (item 8 of the issue on one library)."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.common.installed import distribution, known_distribution
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_export.convert.library_versions import library_versions
from edgevit_runtimes.devices import machine
from edgevit_runtimes.live.outputs.feed_outputs import _about
from support import Command
from support.machines.recordings import tree_of


@pytest.fixture
def beside_the_gpu_build(monkeypatch: pytest.MonkeyPatch) -> str:
    """As after our own advice: pip uninstall onnxruntime, pip install onnxruntime-gpu."""
    real = importlib.metadata.version

    def version(name: str) -> str:
        if name == "onnxruntime":
            raise importlib.metadata.PackageNotFoundError(name)
        return "9.8.7" if name == "onnxruntime-gpu" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib.metadata, "version", version)
    return "9.8.7"


def feed_run(variant: str = "float") -> SimpleNamespace:
    classifier = SimpleNamespace(bundle=Bundle.open(PREBUILT_BUNDLE), variant=variant)
    feed = SimpleNamespace(name="cam")
    return SimpleNamespace(classifier=classifier, feed=feed)


ANNOTATOR = SimpleNamespace(has_superpixels=True)


def test_the_gpu_build_is_found_wherever_a_version_is_asked_for(
    beside_the_gpu_build: str, edgevit: Command
) -> None:
    assert distribution("onnxruntime") == ("onnxruntime-gpu", beside_the_gpu_build)
    assert library_versions()["onnxruntime"] == beside_the_gpu_build
    about = _about(feed_run(), ANNOTATOR)  # type: ignore[arg-type]
    assert about.runtime.startswith(f"onnxruntime-gpu {beside_the_gpu_build}")
    doctor = edgevit("doctor", "--json")
    assert doctor.code == 0, doctor.err
    assert f'"onnxruntime": "{beside_the_gpu_build}"' in doctor.out


def test_what_pip_does_not_know_goes_by_its_own_version(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy

    def unknown(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", unknown)
    assert known_distribution("numpy") is None
    assert distribution("numpy") == ("numpy", numpy.__version__)


@pytest.mark.parametrize(
    ("recorded", "label"),
    [
        ("orin-nano-jetpack-6", "NVIDIA Jetson Orin Nano"),
        ("raspberry-pi-5", "Raspberry Pi 5"),
        ("x86-workstation-rtx", "Intel(R) Xeon(R) w7-2495X"),
    ],
)
def test_a_page_names_the_board_that_it_runs_on(
    recorded: str, label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It called a Jetson 'onnxruntime-arm'."""
    found = machine.describe(tree_of(recorded, tmp_path))
    monkeypatch.setattr(machine, "describe", lambda: found)
    assert label in _about(feed_run(), ANNOTATOR).device  # type: ignore[arg-type]
