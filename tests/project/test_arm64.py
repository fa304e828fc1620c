"""The device package on aarch64, emulated: ``make test-arm64``. Its timings mean nothing."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.inference.runner import Array
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.backends.classifier import BundleClassifier
from edgevit_runtimes.remote import bootstrap
from edgevit_runtimes.remote.device_address import Device
from edgevit_runtimes.remote.device_list import add_device
from edgevit_runtimes.remote.setup import build_wheel, fetch_wheels
from support import Command, crops, write_png
from support.machines import arm64_root
from support.machines.ssh_server import loopback
from support.needs import Circumstance

ROOT = os.environ.get("EDGEVIT_ARM64_ROOT")
pytestmark = [
    pytest.mark.arm64,
    pytest.mark.only_if(Circumstance(lambda: bool(ROOT), "make test-arm64 builds the root")),
]
PYTHON = "/opt/edgevit/bin/python"
INT8 = "onnx-int8-arm"
PICTURES = 50


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root with our wheel and its dependencies' aarch64 wheels, fetched out here."""
    folder = Path(str(ROOT))
    wheels = tmp_path_factory.mktemp("wheels")
    built = build_wheel(wheels, "aarch64")
    fetch_wheels(wheels, "3.11", "aarch64")
    arm64_root.run(folder, "python3", "-m", "venv", "/opt/edgevit")
    pip = (PYTHON, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", wheels)
    arm64_root.run(folder, *pip, "--force-reinstall", built, binds=(wheels,))
    return folder


@pytest.fixture(scope="module")
def pictures(photos: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for i, view in enumerate(crops(photos, PICTURES, seed=5)):
        write_png(folder / f"{i:02d}.png", view)
    return folder


def answers_here(bundle: Path, variant: str, pictures: Path) -> Array:
    """Logits on this machine, of every picture in the order of their names."""
    with BundleClassifier(Bundle.open(bundle), variant) as classifier:
        views = [image_io.read(file) for file in sorted(pictures.glob("*.png"))]
        return np.stack(list(classifier.logits(views)))


@pytest.fixture(scope="module")
def sure(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The half of the pictures that the float model is surest of: no class is near another."""
    folder = tmp_path_factory.mktemp("sure")
    logits = answers_here(PREBUILT_BUNDLE, "float", pictures)
    first, second = np.sort(logits, axis=1)[:, :-3:-1].T
    files = sorted(pictures.glob("*.png"))
    for place in np.argsort(second - first)[: PICTURES // 2]:
        shutil.copy(files[place], folder)
    return folder


@pytest.fixture(scope="module")
def bundle(answered: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model with INT8 for arm64, calibrated on this machine."""
    target = tmp_path_factory.mktemp("bundle") / "lla_tiny.edgevit"
    shutil.copytree(PREBUILT_BUNDLE, target)
    options = ("--data", answered / "train", "--val-data", answered / "val", "--count", "48")
    quantize = ("quantize", target, *options, "--target", "onnxruntime-arm", "--max-drop", "100")
    ended = subprocess.run(
        [sys.executable, "-m", "edgevit", *map(str, quantize)], check=False, capture_output=True
    )
    assert ended.returncode == 0, ended.stderr.decode()
    assert INT8 in Bundle.open(target).manifest.variants
    return target


_LOGITS = """
import sys, json
from pathlib import Path
from edgevit.images import image_io
from edgevit.bundle.bundle import Bundle
from edgevit_runtimes.backends.classifier import BundleClassifier
bundle, pictures, variant = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
with BundleClassifier(Bundle.open(bundle), variant) as classifier:
    logits = classifier.logits([image_io.read(file) for file in sorted(pictures.glob("*.png"))])
    print(json.dumps([row.tolist() for row in logits]))
"""


@pytest.mark.parametrize(("variant", "tolerance"), [("float", 1e-3), (INT8, 0.15)])
def test_answers_are_those_of_x86(
    variant: str, tolerance: float, root: Path, bundle: Path, pictures: Path
) -> None:
    """Top-1 on 50 pictures is the same; float rounds otherwise, and INT8 at its steps too."""
    words = (PYTHON, "-c", _LOGITS, bundle, pictures, variant)
    there = np.array(json.loads(arm64_root.run(root, *words, binds=(bundle, pictures))))
    here = answers_here(bundle, variant, pictures)
    assert there.shape == (PICTURES, len(Bundle.open(bundle).manifest.classes))
    print(f"{variant}: largest difference of a logit {np.abs(there - here).max():.2e}")
    assert (there.argmax(axis=1) == here.argmax(axis=1)).all()
    assert np.abs(there - here).max() < tolerance


def test_verify_passes(root: Path, bundle: Path, sure: Path) -> None:
    """Against torch's answers, which travel in the bundle, and float's on the pictures."""
    variants = ("--variant", "float", "--variant", INT8)
    command = (PYTHON, "-m", "edgevit", "verify", bundle, "--images", sure, *variants, "--json")
    said = json.loads(arm64_root.run(root, *command, binds=(bundle, sure)))
    assert said["holds"]
    assert {row["variant"] for row in said["comparisons"]} == {"float", INT8}


def test_run_and_bench(root: Path, bundle: Path, pictures: Path) -> None:
    command = (PYTHON, "-m", "edgevit")
    ran = arm64_root.run(
        root, *command, "run", bundle, pictures, "--json", binds=(bundle, pictures)
    )
    assert len(json.loads(ran)["results"]) == PICTURES
    options = ("--samples", 20, "--frames", 3, "--fps", 2, "--warmup", 1, "--max-seconds", 3)
    for variant in ("float", INT8):
        benched = arm64_root.run(
            root,
            *command,
            "bench",
            bundle,
            *options,
            "--variant",
            variant,
            "--json",
            binds=(bundle,),
        )
        result = json.loads(benched)
        assert result["conditions"]["machine"]["architecture"] == "aarch64"
        assert result["conditions"]["machine"]["emulated"] is True
        assert any("emulated" in reason for reason in result["disturbances"])


def test_an_emulator_that_ends_takes_no_folder_from_another(root: Path, tmp_path: Path) -> None:
    """A device has several agents at once, and their folder is a bind."""
    script = f"echo begun; read line; test -d {shlex.quote(str(tmp_path))}"
    words = [*arm64_root.emulated(root, tmp_path), "/bin/sh", "-c", script]
    begun = []
    for _ in range(2):
        begun.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert begun[-1].stdout is not None
        assert begun[-1].stdout.readline() == b"begun\n"
    for emulator in begun:
        emulator.communicate(b"look\n")
    assert [emulator.returncode for emulator in begun] == [0, 0]


@pytest.fixture(scope="module")
def arm(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A device called ``arm``: a real SSH server whose Python is the emulated one; its folder."""
    base = tmp_path_factory.mktemp("arm")
    home, server = base / "home", base / "sshd"
    python = home / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    words = shlex.join([*arm64_root.emulated(root, home), PYTHON])
    python.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    python.chmod(0o755)
    server.mkdir()
    with loopback(server) as started, pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(base / "config"))
        patch.setenv("XDG_STATE_HOME", str(base / "state"))
        patch.setenv("EDGEVIT_SSH", started.ssh)
        add_device("arm", Device("loopback", str(home)))
        yield home


def test_a_device_over_ssh_is_this_root(arm: Path, bundle: Path, edgevit: Command) -> None:
    """The whole way: a real server, the agent in the root, the bundle sent, the result home."""
    options = ("--samples", 10, "--frames", 2, "--fps", 2, "--warmup", 1, "--max-seconds", 3)
    ended = edgevit("bench", bundle, "--host", "arm", *options, "--variant", INT8, "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["conditions"]["machine"]["architecture"] == "aarch64"
    assert result["model"]["variant"] == INT8
    here = edgevit("bench", bundle, "--variant", INT8)
    assert "was made for 64-bit arm; this machine is x86" in here.one_message


def test_it_verifies_evaluates_and_runs_there(
    arm: Path, bundle: Path, sure: Path, answered: Path, edgevit: Command
) -> None:
    """The float model is right about every picture of ``answered``, wherever it runs."""
    host, variant = ("--host", "arm"), ("--variant", INT8)
    verified = edgevit("verify", bundle, "--images", sure, *variant, *host, "--json")
    assert verified.code == 0, verified.err
    assert json.loads(verified.out)["holds"]
    float_model = ("--variant", "float", *host, "--json")
    evaluated = edgevit("eval", bundle, "--data", answered / "val", *float_model)
    assert evaluated.code == 0, evaluated.err
    assert json.loads(evaluated.out)["top1"]["share"] == 1.0
    there = edgevit("run", bundle, sure, "--variant", "float", *host)
    assert there.code == 0, there.err
    labels = [json.loads(line)["answers"][0]["label"] for line in there.out.splitlines()]
    here = answers_here(bundle, "float", sure).argmax(axis=1)
    assert labels == [Bundle.open(bundle).manifest.classes[place] for place in here]


def test_what_is_compiled_there_opens_there_alone(
    arm: Path, bundle: Path, edgevit: Command, tmp_path: Path
) -> None:
    ours = shutil.copytree(bundle, tmp_path / "mine.edgevit")
    ended = edgevit("compile", ours, "--target", "onnxruntime", "--host", "arm", "--json")
    assert ended.code == 0, ended.err
    name = json.loads(ended.out)["variant"]
    build = Bundle.open(ours, check_hashes=True).manifest.variants[name].build
    assert build is not None
    assert "aarch64" in str(build.built_for) or "arm" in str(build.built_for)


# What is asked of systemd, which does not run in the emulated root, and its answers.
_SYSTEMCTL = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in
  *"show"*"--value") echo active ;;
  *"show"*) printf 'ActiveState=active\\nSubState=running\\nMainPID=42\\nNRestarts=0\\n' ;;
esac
"""


def test_a_service_runs_what_is_deployed(
    arm: Path, root: Path, bundle: Path, edgevit: Command, tmp_path: Path
) -> None:
    """The unit is written by the device's own edgevit; a recorded systemctl stands for systemd."""
    calls, systemctl = arm / "calls", root / "usr" / "bin" / "systemctl"
    systemctl.write_text(_SYSTEMCTL.format(calls=shlex.quote(str(calls))))
    systemctl.chmod(0o755)
    try:
        first = edgevit("deploy", bundle, "--host", "arm", "--json")
        assert first.code == 0, first.err
        link = json.loads(first.out)["devices"]["arm"]["path"]
        command = (PYTHON, "-m", "edgevit", "service", "install", link, "csi://0", "--json")
        unit = json.loads(arm64_root.run(root, *command, binds=(arm,)))["unit"]
        text = (root / unit.lstrip("/")).read_text()
        assert f"{PYTHON} -m edgevit run {link} csi://0" in text
        second = edgevit("deploy", PREBUILT_BUNDLE, "--host", "arm")
        assert second.code == 0, second.err
        assert "arm: service 'camera' was restarted" in second.out
        assert "--user restart edgevit-camera.service" in calls.read_text().splitlines()[-1]
    finally:
        systemctl.unlink()
        shutil.rmtree(root / "root" / ".config", ignore_errors=True)


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_wheels_of_every_dependency_exist(python: str, tmp_path: Path) -> None:
    """JetPack 6 has Python 3.10, JetPack 7 has 3.12."""
    from edgevit_runtimes.remote.setup import pip_for

    report = tmp_path / "report.json"
    needed = [*bootstrap.NEEDED, *bootstrap.NEEDED_BEFORE_3_11, bootstrap.OPENCV]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    pip += ["--target", str(tmp_path), "--report", str(report), *pip_for(python, "aarch64")]
    ended = subprocess.run([*pip, *needed], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    files = [
        item["download_info"]["url"].rpartition("/")[2]
        for item in json.loads(report.read_text())["install"]
    ]
    tag = f"cp{python.replace('.', '')}"
    for name in ("numpy", "onnxruntime"):
        (wheel,) = [file for file in files if file.startswith(f"{name}-")]
        assert tag in wheel
        assert "aarch64" in wheel
    (opencv,) = [file for file in files if file.startswith("opencv_python_headless-")]
    assert "abi3" in opencv
    assert "aarch64" in opencv
    print("\n".join(files))
