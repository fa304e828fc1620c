"""``edgevit service``: the unit as systemd reads it, and what systemctl is asked."""

from __future__ import annotations

import json
import os
import shlex
import stat
import subprocess
from pathlib import Path

import pytest

from edgevit.common.errors import InputError
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.service.unit_file import Service, bundle_of_unit, quoted
from support import Command

FAKE = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in
  *"$FAIL_AT"*) [ -n "$FAIL_AT" ] && {{ echo "Job failed." >&2; exit 1; }} ;;
esac
case "$*" in *show*)
  printf 'ActiveState=active\\nSubState=running\\nMainPID=42\\nNRestarts=3\\n' ;;
esac
exit 0
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for systemctl and loginctl, which writes down how it was called."""
    tools, file = tmp_path / "tools", tmp_path / "calls"
    tools.mkdir()
    for name in ("systemctl", "loginctl"):
        (tools / name).write_text(FAKE.format(calls=shlex.quote(str(file))))
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return file


@pytest.mark.needs("systemd")
@pytest.mark.parametrize("folder", ["plain", "with a space", '50% $HOME "it\'s"'])
def test_systemd_accepts_the_unit(
    folder: str, tmp_path: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    bundle = tmp_path / folder / "lla_tiny.edgevit"
    bundle.parent.mkdir()
    bundle.symlink_to(PREBUILT_BUNDLE)
    ended = edgevit("service", "install", bundle, "csi://0", "--dry-run")
    assert ended.code == 0, ended.err
    unit = tmp_path / "edgevit-camera.service"
    unit.write_text(ended.out)
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert checked.returncode == 0, checked.stderr
    ours = [line for line in checked.stderr.splitlines() if "edgevit" in line]
    assert ours == [], "it warns of nothing"


def test_a_unit_that_is_wrong_would_be_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="control character"):
        Service(tmp_path / "a\nExecStartPre=x", "csi://0", "0.0.0.0:8080")
    assert quoted("50% $HOME") == '"50%% $$HOME"'
    assert quoted('a"b\\') == '"a\\"b\\\\"'
    assert quoted("csi://0") == "csi://0"
    assert quoted("v4l2src ! x;y") == '"v4l2src ! x;y"'


@pytest.mark.parametrize("folder", ["plain", "with a space", '50% $HOME "it\'s"', "a\\b"])
def test_the_bundle_is_read_back_from_a_unit(folder: str, tmp_path: Path) -> None:
    bundle = tmp_path / folder / "current"
    text = Service(bundle, "csi://0", "0.0.0.0:8080").text(tmp_path / "token")
    assert bundle_of_unit(text) == bundle


@pytest.mark.parametrize("text", ["", "ExecStart=", 'ExecStart="', "ExecStart=/bin/sleep 5"])
def test_a_unit_of_something_else_has_no_bundle(text: str) -> None:
    assert bundle_of_unit(text) is None


def test_a_service_is_installed_asked_and_removed(
    calls: Path, tmp_path: Path, edgevit: Command
) -> None:
    link = tmp_path / "current"
    link.symlink_to(PREBUILT_BUNDLE)
    ended = edgevit("service", "install", link, "csi://0", "--size", "1280x720", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)
    assert (found["state"], found["pid"], found["restarts"]) == ("active", 42, 3)
    unit, secret = Path(found["unit"]), Path(found["token_file"])
    assert unit == tmp_path / "config" / "systemd" / "user" / "edgevit-camera.service"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    token = secret.read_text().strip().removeprefix("EDGEVIT_TOKEN=")
    assert len(token) >= 16
    assert token not in unit.read_text() + calls.read_text(), "no list of processes shows it"
    assert f"{link} csi://0 --serve 0.0.0.0:8080 --size 1280x720" in unit.read_text()
    asked = calls.read_text()
    for words in ("--user daemon-reload", "enable edgevit-camera", "restart edgevit-camera"):
        assert words in asked
    assert edgevit("service", "install", link, "0").code == 0
    assert token in secret.read_text(), "a phone that knows it stays welcome"
    shown = edgevit("service", "status")
    assert "journalctl --user --unit edgevit-camera.service" in shown.out
    assert edgevit("service", "remove").code == 0
    assert not unit.exists()
    assert not secret.exists()
    assert (
        "There is no service 'camera'. No service is installed; install one with:"
        in edgevit("service", "status").one_message
    )


def test_what_cannot_be_started_leaves_what_was_there(
    calls: Path, tmp_path: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL_AT", "restart")
    ended = edgevit("service", "install", PREBUILT_BUNDLE, "csi://0")
    assert ended.code == 2
    assert "restart edgevit-camera.service' failed: Job failed." in ended.one_message
    assert not [file for file in (tmp_path / "config").rglob("*") if file.is_file()]
    monkeypatch.setenv("FAIL_AT", "")
    assert edgevit("service", "install", PREBUILT_BUNDLE, "csi://0").code == 0
    unit = tmp_path / "config" / "systemd" / "user" / "edgevit-camera.service"
    before = unit.read_text()
    monkeypatch.setenv("FAIL_AT", "restart")
    assert edgevit("service", "install", PREBUILT_BUNDLE, "csi://1").code == 2
    assert unit.read_text() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PREBUILT_BUNDLE, "-"), "wants a camera or a stream"),
        ((PREBUILT_BUNDLE, PREBUILT_BUNDLE / "manifest.json"), "no picture or video"),
        ((PREBUILT_BUNDLE, "csi://0", "--serve", "nowhere"), "expected HOST:PORT"),
        ((PREBUILT_BUNDLE, "csi://0", "--name", "../x"), "no name for a service"),
        (("/nowhere.edgevit", "csi://0"), "is not a bundle"),
        ((PREBUILT_BUNDLE, "csi://0", "--token-file", "/no-such-file"), "Cannot read the token"),
    ],
)
def test_what_cannot_be_a_service_is_one_message(
    arguments: tuple[object, ...], message: str, calls: Path, tmp_path: Path, edgevit: Command
) -> None:
    ended = edgevit("service", "install", *arguments)
    assert ended.code == 2
    assert message in ended.one_message
    assert not (tmp_path / "config").exists()


def test_a_machine_without_systemd_says_so(
    tmp_path: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", str(tmp_path))
    ended = edgevit("service", "install", PREBUILT_BUNDLE, "csi://0")
    assert ended.code == 2
    assert "no systemctl here" in ended.one_message
