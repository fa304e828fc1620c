"""Devices over SSH, against a real server on loopback."""

from __future__ import annotations

import fcntl
import io
import json
import os
import platform
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import edgevit
from edgevit.bundle.bundle import MANIFEST_FILE
from edgevit.common.errors import DeviceError, InputError
from edgevit.common.storage.hashes import sha256_of
from edgevit.common.untrusted.sanitize import harmless
from edgevit.results.bench_result import read_result
from edgevit.workflows.remote.stream_there import _limit_s
from edgevit.workflows.remote.time_limits import picture_work_limit_s
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.bench import measure
from edgevit_runtimes.bench.bench_options import BenchOptions
from edgevit_runtimes.remote import agent, bootstrap, protocol, setup
from edgevit_runtimes.remote.calls import ask
from edgevit_runtimes.remote.device_address import Device
from edgevit_runtimes.remote.device_list import add_device, devices_file, read_devices
from edgevit_runtimes.remote.pending import read_pending
from edgevit_runtimes.remote.setup import _refuse_unfit, build_wheel
from edgevit_runtimes.remote.ssh import Ssh, connection
from edgevit_runtimes.remote.transfer.send_bundle import _refuse_full
from edgevit_runtimes.sources.source_address import parse
from support import Command, begin, environment
from support.machines.ssh_server import Loopback, loopback, stand_in_device
from support.made_results import made
from support.needs import missing

SHORT = ("--samples", 30, "--frames", 3, "--fps", 100, "--warmup", 1, "--max-seconds", 60)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Configuration and state of a person who has none yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("sshd")) as started:
        yield started


@pytest.fixture
def reachable(server: Loopback, monkeypatch: pytest.MonkeyPatch) -> Loopback:
    monkeypatch.setenv("EDGEVIT_SSH", server.ssh)
    return server


@pytest.fixture
def device(reachable: Loopback, tmp_path: Path, edgevit: Command) -> Path:
    """A device that is set up and called ``box``; gives its folder there."""
    folder = stand_in_device(tmp_path / "the device")
    assert edgevit("devices", "add", "box", "loopback", "--folder", folder).code == 0
    return folder


def _hostile_device(tmp_path: Path, edgevit: Command, script: str) -> None:
    folder = stand_in_device(tmp_path / "hostile", script)
    assert edgevit("devices", "add", "box", "loopback", "--folder", folder).code == 0


# ---- names and addresses


def test_devices_are_added_listed_and_removed(edgevit: Command) -> None:
    assert edgevit("devices", "add", "jetson", "me@10.0.0.7").code == 0
    assert (
        edgevit("devices", "add", "pi", "ssh://pi@rasp.local:2222", "--folder", "/data/e").code == 0
    )
    listed = json.loads(edgevit("devices", "list", "--json").out)
    assert listed["devices"]["pi"] == {"host": "ssh://pi@rasp.local:2222", "folder": "/data/e"}
    assert listed["here"]["cores_usable"] >= 1
    assert "me@10.0.0.7" in edgevit("devices", "list").out
    assert "me@10.0.0.7" in edgevit("devices").out
    assert edgevit("devices", "remove", "jetson").code == 0
    assert list(read_devices()) == ["pi"]
    assert "Known: pi." in edgevit("devices", "remove", "jetson").one_message


@pytest.mark.parametrize(
    "host",
    [
        "-oProxyCommand=touch pwned",
        "me@-oProxyCommand=x",
        "me@host; touch pwned",
        "me@host\nHost *",
        "$(touch pwned)",
        "a b",
        "",
        "ssh://me@host:22/../x",
    ],
)
def test_an_address_that_could_mean_something_else_is_refused(host: str) -> None:
    with pytest.raises(InputError, match="is no address"):
        Device(host)


@pytest.mark.parametrize(
    "host",
    ["box", "me@box.local", "ssh://me@box:2222", "me@192.168.0.2", "me@fe80::1%eth0", "::1"],
)
def test_addresses(host: str) -> None:
    assert Device(host).host == host


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_cannot_be_is_refused(port: str) -> None:
    with pytest.raises(InputError, match="expected 1 to 65535"):
        Device(f"ssh://me@box:{port}")


@pytest.mark.parametrize("host", ["ssh://me:secret@box", "me:sec/secret@x@box:22"])
def test_a_password_is_not_repeated(host: str) -> None:
    with pytest.raises(InputError, match="is no address") as caught:
        Device(host)
    assert "secret" not in str(caught.value)


def test_an_empty_folder_is_refused(home: Path, edgevit: Command) -> None:
    assert "is no folder" in edgevit("devices", "add", "a", "box", "--folder", "").one_message
    assert not (home / "config").exists()


def test_an_ssh_command_that_is_none_is_one_message(
    home: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEVIT_SSH", 'ssh "unclosed')
    assert "EDGEVIT_SSH" in edgevit("devices", "check", "box").one_message


@pytest.mark.parametrize("folder", ["", "-x", "a'b", "a$b", "a\nb", "a;b", "x "])
def test_a_folder_that_could_mean_something_else_is_refused(folder: str) -> None:
    with pytest.raises(InputError, match="is no folder"):
        Device("box", folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[box\n", "Cannot read"),
        ("[box]\n", "[box].host is missing. Mend it"),
        ("[box]\nhost = 7\n", "expected str"),
        ('[box]\nhost = "-oX"\n', "is no address"),
        ('[box]\nhost = "a"\nport = 22\n', "[box].port is an unknown field"),
        ('box = "a"\n', "[box] is str, expected object"),
        ('["../x"]\nhost = "a"\n', "is no name"),
        (b"\xff\xfe\x00", "is not text in UTF-16-LE"),
        ("a=" + "[" * 5000, "nested too deep"),
    ],
)
def test_a_malformed_devices_file_is_one_message(
    text: str | bytes, message: str, home: Path, edgevit: Command
) -> None:
    file = home / "config" / "edgevit" / "devices.toml"
    file.parent.mkdir(parents=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    ended = edgevit("devices", "add", "other", "me@there")
    assert ended.code == 2
    assert message in ended.one_message
    assert "devices.toml" in ended.one_message
    assert file.read_bytes() == (text if isinstance(text, bytes) else text.encode())


# ---- ssh itself


def test_every_word_arrives_as_it_is(reachable: Loopback, tmp_path: Path) -> None:
    words = ["$(touch pwned)", "'; touch pwned; '", "`id`", "a\nb", "*", "\\", '"', "é", "-n", ""]
    with Ssh(Device("loopback")) as ssh:
        assert ssh.run(["printf", "%s\\n", *words]).split("\n")[:-1] == "\n".join(words).split("\n")
        assert ssh.run(["cat"], b"\x00\x01binary\xff" * 1000).count("binary") == 1000
    assert not (Path.home() / "pwned").exists()


def test_commands_share_one_connection(reachable: Loopback) -> None:
    with Ssh(Device("loopback")) as ssh:
        ports = {ssh.run(["sh", "-c", "echo $SSH_CLIENT"]).split()[1] for _ in range(3)}
    assert len(ports) == 1


def test_too_much_is_not_read(reachable: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgevit_runtimes.remote.ssh._MOST_BYTES", 1 << 16)
    with Ssh(Device("loopback")) as ssh, pytest.raises(DeviceError, match="says more than"):
        ssh.run(["cat", "/dev/zero"])


def test_what_hangs_is_ended(reachable: Loopback) -> None:
    with Ssh(Device("loopback")) as ssh, pytest.raises(DeviceError, match="no end of 'sleep'"):
        ssh.run(["sleep", "60"], timeout_s=0.5)


def test_an_unknown_host(edgevit: Command) -> None:
    ended = edgevit("devices", "check", "me@no-such-host.invalid")
    assert ended.code == 2
    assert (
        "no device that was added, host of your ssh config or address has this name"
        in ended.one_message
    )


def test_nothing_answers(edgevit: Command) -> None:
    assert "nothing answers there" in edgevit("doctor", "--host", "ssh://x@127.0.0.1:9").one_message


def test_a_refused_key(reachable: Loopback, edgevit: Command, tmp_path: Path) -> None:
    config = (reachable.base / "ssh_config").read_text()
    other = tmp_path / "ssh_config"
    other.write_text(config.replace("user_key", "other_key"))
    os.environ["EDGEVIT_SSH"] = f"ssh -F {other}"
    ended = edgevit("bench", "--host", "loopback")
    assert ended.code == 2
    assert "it refuses our key" in ended.one_message


@pytest.mark.parametrize(
    ("change", "message"),
    [("", "its host key is not known here"), ("other_key.pub", "its host key has changed")],
)
def test_host_keys_are_checked(
    change: str, message: str, reachable: Loopback, edgevit: Command, tmp_path: Path
) -> None:
    place, kind, key = reachable.known_hosts.read_text().split()
    known = tmp_path / "known_hosts"
    if change:
        key = (reachable.base / change).read_text().split()[1]
        known.write_text(f"{place} {kind} {key}\n")
    config = (reachable.base / "ssh_config").read_text()
    other = tmp_path / "ssh_config"
    other.write_text(config.replace(str(reachable.known_hosts), str(known)))
    os.environ["EDGEVIT_SSH"] = f"ssh -F {other}"
    ended = edgevit("bench", "--host", "loopback")
    assert ended.code == 2
    assert message in ended.one_message


# ---- looking at a device


def test_a_device_is_examined(device: Path, edgevit: Command, tmp_path: Path) -> None:
    content = json.loads(edgevit("devices", "check", "box", "--json").out)
    assert content["edgevit"].startswith(edgevit_version())
    here = json.loads(edgevit("doctor", "--json").out)["machine"]
    assert content["machine"]["processor"] == here["processor"]
    target = tmp_path / "box.txt"
    assert edgevit("devices", "record", "box", "-o", target).code == 0
    again = json.loads(edgevit("doctor", "--recording", target, "--json").out)
    assert again["machine"]["kernel"] == here["kernel"]


def edgevit_version() -> str:
    return edgevit.__version__


@pytest.fixture(scope="module")
def without_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    """A server whose users find a shell and a few tools, and no Python."""
    tools = tmp_path_factory.mktemp("bin")
    for name in ("sh", "head", "tr", "sed", "cat", "uname", "dirname", "mkdir", "mv"):
        found = next(
            Path(folder) / name for folder in ("/usr/bin", "/bin") if Path(folder, name).exists()
        )
        (tools / name).symlink_to(found)
    with loopback(tmp_path_factory.mktemp("bare"), str(tools)) as started:
        yield started


def test_a_device_without_python_is_examined_and_not_set_up(
    without_python: Loopback, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEVIT_SSH", without_python.ssh)
    content = json.loads(edgevit("doctor", "--host", "loopback", "--json").out)
    first = content["advice"][0]
    assert (first["purpose"], first["ready"]) == ("run edgevit on it", False)
    assert first["found"] == "no python3"
    ended = edgevit("devices", "setup", "loopback")
    assert "has no python3. There: sudo apt install" in ended.one_message
    assert "is not set up" in edgevit("bench", "--host", "loopback").one_message


def test_a_device_with_too_old_a_python_is_told_so(
    without_python: Loopback, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the Python 3.8 of JetPack 5: it answers what that one would."""
    found = {"python": "3.8.10", "architecture": "aarch64", "has_venv": True, "free_mib": 9000}
    config = (without_python.base / "sshd_config").read_text()
    tools = Path(config.rpartition("PATH=")[2].strip())
    stub = tools / "python3"
    stub.write_text(f"#!/bin/sh\ncat >/dev/null\necho 'edgevit: {json.dumps(found)}'\n")
    stub.chmod(0o755)
    monkeypatch.setenv("EDGEVIT_SSH", without_python.ssh)
    message = edgevit("devices", "setup", "loopback").one_message
    stub.unlink()
    assert "has Python 3.8.10; edgevit needs 3.10 to 3.13" in message
    assert "edgevit doctor --host loopback" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"python": "3.14.0"}, "needs 3.10 to 3.13"),
        ({"architecture": "armv7l"}, "runs on aarch64 and x86_64"),
        ({"has_venv": False}, "sudo apt install python3-venv"),
        ({"free_mib": 300}, "300 MiB free"),
        ({"free_mib": "\x1b[2Jmuch"}, r"\[2Jmuch MiB free"),
    ],
)
def test_a_device_that_cannot_run_it_is_refused(change: dict[str, Any], message: str) -> None:
    good = {"python": "3.10.12", "architecture": "aarch64", "has_venv": True, "free_mib": 9000}
    _refuse_unfit("box", good)
    with pytest.raises(DeviceError, match=message):
        _refuse_unfit("box", {**good, **change})


def test_too_little_room_for_a_bundle() -> None:
    _refuse_full("box", 100, 40 << 20)
    for free in (50, None, "plenty"):
        with pytest.raises(DeviceError, match="MiB free; sending the bundle needs 56"):
            _refuse_full("box", free, 40 << 20)


def test_devices_that_are_added_at_once_are_all_kept(home: Path) -> None:
    threads = [
        threading.Thread(target=add_device, args=(f"box{i}", Device(f"user@host{i}")))
        for i in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(read_devices()) >= {f"box{i}" for i in range(12)}
    assert [file.name for file in devices_file().parent.iterdir()] == ["devices.toml"]


def test_what_a_killed_writer_of_the_devices_left_is_swept(
    home: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices_file().parent.mkdir(parents=True, exist_ok=True)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left_over = devices_file().with_name(f".devices.toml.{dead.pid}.partial")
    left_over.write_text("half")
    assert edgevit("devices", "add", "another", "user@host").code == 0
    assert not left_over.exists()


# ---- measuring there


def test_a_bench_on_a_device(device: Path, edgevit: Command, home: Path) -> None:
    ended = edgevit("bench", "--host", "box", *SHORT, "--json")
    assert ended.code == 0, ended.err
    result = json.loads(ended.out)
    assert result["latency_ms"]["samples"] == 30
    assert result["model"]["bundle"].startswith(str(device)), "measured there, not here"
    for step in ("time to the first answer", "memory", "latency back to back"):
        assert step in ended.err, "progress comes back"
    kept = read_result(Path(result["kept"]))
    assert kept.to_dict()["latency_ms"] == result["latency_ms"]
    assert not list((home / "state" / "edgevit" / "runs").iterdir()), "nothing is under way"
    assert not list((device / "runs").iterdir()), "nothing stays there"
    (manifest,) = device.glob("bundles/*/manifest.json")
    sent = manifest.stat().st_mtime_ns
    again = edgevit("bench", "--host", "box", *SHORT)
    assert again.code == 0
    assert "kept in" in again.out
    assert manifest.stat().st_mtime_ns == sent, "the bundle was there already"


def test_a_device_of_another_kind_is_refused(device: Path, edgevit: Command) -> None:
    ended = edgevit("bench", "--host", "box", "--machine", "jetson", *SHORT)
    assert ended.code == 2
    assert "the machine there is x86" in ended.err or "the machine there is arm64" in ended.err
    assert not list((device / "runs").iterdir())


def test_an_error_there_is_an_error_here(device: Path, edgevit: Command) -> None:
    ended = edgevit("bench", "--host", "box", "--batch", 4)
    assert ended.code == 2
    assert "exported for batch 1" in ended.err
    assert "Traceback" not in ended.err


def test_a_device_that_is_not_set_up(reachable: Loopback, tmp_path: Path, edgevit: Command) -> None:
    edgevit("devices", "add", "box", "loopback", "--folder", tmp_path / "empty")
    ended = edgevit("bench", "--host", "box")
    assert ended.code == 2
    assert "edgevit is not set up on loopback" in ended.one_message


def test_other_code_there_is_refused(
    device: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgevit_runtimes.remote.runs.__version__", "9.9.9")
    message = edgevit("bench", "--host", "box").one_message
    assert "here it is edgevit 9.9.9" in message
    assert "edgevit devices setup" in message


def _begin(*arguments: object) -> subprocess.Popen[str]:
    """A bench that takes a while."""
    options = ("--samples", 20000, "--frames", 300, "--fps", 30, "--max-seconds", 20)
    return begin("bench", "--host", "box", *options, *arguments)


def _until(holds: Callable[[], object], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it never came true")


def _under_way(device: Path) -> bool:
    logs = list(device.glob("runs/*/log"))
    return bool(logs) and "time to the first answer" in logs[0].read_text()


def test_a_lost_connection_is_picked_up(
    device: Path, server: Loopback, edgevit: Command, home: Path
) -> None:
    """Frames enough that the run outlives the connection by far."""
    process = _begin("--samples", 30, "--frames", 90, "--max-seconds", 1)
    _until(lambda: _under_way(device))
    for session in server.sessions():
        os.kill(session, signal.SIGKILL)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 2
    assert "connection was lost" in said or "fell silent" in said
    (pending,) = (home / "state" / "edgevit" / "runs").iterdir()
    assert f"edgevit bench --resume {pending.stem}" in said
    resumed = edgevit("bench", "--resume", pending.stem, "--json")
    assert resumed.code == 0, resumed.err
    assert json.loads(resumed.out)["latency_paced_ms"]["samples"] == 90
    assert not pending.exists()
    assert "No run" in edgevit("bench", "--resume", pending.stem).one_message


@pytest.mark.slow
def test_ctrl_c_says_how_to_pick_it_up(device: Path, edgevit: Command, home: Path) -> None:
    process = _begin("--samples", 30, "--frames", 60, "--max-seconds", 1)
    _until(lambda: _under_way(device))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 130
    (pending,) = (home / "state" / "edgevit" / "runs").iterdir()
    assert f"edgevit bench --resume {pending.stem}" in said
    assert edgevit("bench", "--resume", pending.stem).code == 0


def test_a_killed_run_is_said_so(device: Path, home: Path) -> None:
    process = _begin()
    _until(lambda: _under_way(device))
    (run,) = (device / "runs").iterdir()
    os.kill(_holder(run), signal.SIGKILL)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "ended from outside: killed, out of memory, or a restart" in said
    assert "Traceback" not in said
    assert not list((home / "state" / "edgevit" / "runs").iterdir())


def _holder(run: Path) -> int:
    """The process of a run: the one that has its folder open."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.resolve() == run:
                return int(link.parts[2])
        except OSError:
            continue
    raise AssertionError("nobody holds the run")


def test_a_full_disk_there_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was called killed, or out of memory. A file may hold 4 KiB; the result needs more."""
    sha256 = sha256_of(PREBUILT_BUNDLE / MANIFEST_FILE)
    (tmp_path / "bundles").mkdir()
    shutil.copytree(PREBUILT_BUNDLE, tmp_path / "bundles" / f"{sha256}.edgevit")
    run = {"run": "0123456789abcdef", "bundle": sha256}
    monkeypatch.setattr(agent.subprocess, "Popen", lambda *_, **options: os.close(options["stdin"]))
    agent.start(tmp_path, {**run, "device": "auto", "options": asdict(BenchOptions())})
    result = SimpleNamespace(to_dict=lambda: {"durations_us": list(range(9999))})
    monkeypatch.setattr(measure, "bench", lambda *_: result)
    former = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, former[1]))  # Python is told by an error
    try:
        agent.run_measurement(tmp_path, run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, former)
    last = agent.follow(tmp_path, run)
    assert "result.json: File too large" in last["error"]
    assert last["code"] == 2
    left = {file.name for file in (tmp_path / "runs" / run["run"]).iterdir()}
    assert left == {"job.json", "log", "error.json"}, "what was reserved for it made room"


def test_a_run_that_fails_for_a_reason_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sibling; nothing that a run ends with is called a kill."""
    run = {"run": "0123456789abcdef", "bundle": 64 * "0"}
    folder = tmp_path / "runs" / run["run"]
    folder.mkdir(parents=True)
    (folder / "log").touch()
    agent.run_measurement(tmp_path, run)  # there is no job.json
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "send", lambda *_: None)
        assert "job.json: No such file" in agent.follow(tmp_path, run)["error"]
    (folder / "error.json").unlink()
    nearly_full = type("Usage", (), {"free": 100})
    monkeypatch.setattr(agent.shutil, "disk_usage", lambda _: nearly_full)
    with pytest.raises(DeviceError, match="is full"):
        agent.follow(tmp_path, run)


def test_damaged_knowledge_of_a_run(edgevit: Command, home: Path) -> None:
    folder = home / "state" / "edgevit" / "runs"
    folder.mkdir(parents=True)
    (folder / "0123456789abcdef.json").write_text("{}")
    assert "is damaged" in edgevit("bench", "--resume", "0123456789abcdef").one_message
    assert "was begun from here" in edgevit("bench", "--resume", "../../etc/passwd").one_message


# ---- devices that lie


def by_verb(hostile: str) -> str:
    """A device whose agent is as it should be, but for one job, and that starts nothing; in sh."""
    path = shlex.quote(environment()["PYTHONPATH"])
    ours = f'PYTHONPATH={path} {shlex.quote(sys.executable)} "$@"'
    verb, _, instead = hostile.partition(": ")
    return (
        f'read line; case "$line" in *\'"{verb}"\'*) {instead};; '
        f"*'\"start\"'*) printf 'edgevit: {{}}\\n';; "
        f"*) {{ printf '%s\\n' \"$line\"; cat; }} | {ours};; esac"
    )


@pytest.mark.parametrize(
    ("hostile", "message"),
    [
        ("hello: exec sleep 1000", "nothing was taken and nothing came for 2 s"),
        ("store: exec sleep 1000", "nothing was taken and nothing came for 2 s"),
        ("follow: exec sleep 1000", "nothing was taken and nothing came for 2 s"),
        ("store: cat > /dev/null", "answered nothing that edgevit understands"),
        ("store: exec yes", "nothing was taken and nothing came|more than 500 lines"),
        ("follow: exec yes", "more than 500 lines"),
        ('follow: exec yes \'edgevit: {"line": "x"}\'', "more than 500 lines"),
        ("follow: exec cat /dev/zero", "a line of more than"),
        ("follow: yes $(printf %09999d) | tr -d 2", "sent more than 2 MiB"),
        ("hello: exec yes", "more than 500 lines"),
    ],
)
def test_a_device_that_never_reads_or_floods(
    hostile: str,
    message: str,
    reachable: Loopback,
    tmp_path: Path,
    edgevit: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was waited for without end."""
    monkeypatch.setattr("edgevit_runtimes.remote.calls._SILENCE_S", 2.0)
    monkeypatch.setattr("edgevit_runtimes.remote.protocol._MOST_LINES", 500)
    monkeypatch.setattr("edgevit_runtimes.remote.protocol._LONGEST_LINE", 1 << 20)
    monkeypatch.setattr("edgevit_runtimes.remote.protocol._MOST_BYTES", 2 << 20)
    _hostile_device(tmp_path, edgevit, by_verb(hostile))
    if hostile.startswith("follow"):
        name = f"{sha256_of(PREBUILT_BUNDLE / MANIFEST_FILE)}.edgevit"
        shutil.copytree(PREBUILT_BUNDLE, tmp_path / "hostile" / "bundles" / name)
    ended = edgevit("bench", "--host", "box", *SHORT)
    assert ended.code == 2
    assert re.search(message, ended.err), ended.err
    assert "Traceback" not in ended.err
    if hostile.startswith("follow: exec sleep"):
        assert "Pick it up with" in ended.err


def test_an_answer_counts_before_the_command_ends(
    reachable: Loopback, tmp_path: Path, edgevit: Command
) -> None:
    """Under an emulator the command ends with the run that it started, which may take hours."""
    _hostile_device(tmp_path, edgevit, "read line; printf 'edgevit: {\"a\": 1}\\n'; exec sleep 60")
    began_s = time.monotonic()
    with connection("box") as ssh:
        assert ask(ssh, {"verb": "hello"}) == {"a": 1}
    assert time.monotonic() - began_s < 30


def test_an_answer_among_much_talk_is_given_up(
    reachable: Loopback, tmp_path: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgevit_runtimes.remote.calls._ANSWER_TIMEOUT_S", 2.0)
    _hostile_device(tmp_path, edgevit, "while echo wait; do sleep 0.2; done")
    assert "no end of 'python' in 2 s" in edgevit("bench", "--host", "box").one_message


@pytest.mark.parametrize(
    "says",
    [
        "while printf 'edgevit: {\"alive\": true}\\n'; do sleep 0.2; done",
        'while printf \'edgevit: {"line": "busy"}\\n\'; do sleep 0.2; done',
        "while printf x; do sleep 0.2; done",
        "exec sleep 1000",
    ],
)
def test_a_run_that_never_ends_is_given_up(
    says: str, reachable: Loopback, home: Path, edgevit: Command
) -> None:
    """It talks, and never so much that it is cut off: only the deadline ends that."""
    _hostile_device(home, edgevit, by_verb(f"follow: {says}"))
    name = f"{sha256_of(PREBUILT_BUNDLE / MANIFEST_FILE)}.edgevit"
    shutil.copytree(PREBUILT_BUNDLE, home / "hostile" / "bundles" / name)
    began_s = time.monotonic()
    ended = edgevit("bench", "--host", "box", "--timeout", 2, *SHORT)
    assert time.monotonic() - began_s < 100, "the limit of silence alone is 120 s"
    assert ended.code == 2
    assert "no end of 'python' in 2 s" in ended.err
    assert "Traceback" not in ended.err
    (pending,) = (home / "state" / "edgevit" / "runs").iterdir()
    assert f"edgevit bench --resume {pending.stem}" in ended.err
    assert read_pending(pending.stem).timeout_s == 2


def test_the_deadline_grows_with_the_work() -> None:
    short, long = (BenchOptions(max_seconds=s).longest_s for s in (60, 6000))
    assert long - short >= 6000 - 60
    assert BenchOptions(frames=9000).longest_s > BenchOptions().longest_s + 290
    assert picture_work_limit_s(50_000) > 50_000 > picture_work_limit_s(0)


@pytest.mark.parametrize("flood", ["exec yes", "exec yes '{}'", "exec cat /dev/zero"])
def test_answers_that_are_none_are_not_read_without_end(
    flood: str, reachable: Loopback, tmp_path: Path, edgevit: Command
) -> None:
    """A camera may say nothing for as long as it likes, but not nonsense."""
    _hostile_device(tmp_path, edgevit, by_verb(f"stream: {flood}"))
    name = f"{sha256_of(PREBUILT_BUNDLE / MANIFEST_FILE)}.edgevit"
    shutil.copytree(PREBUILT_BUNDLE, tmp_path / "hostile" / "bundles" / name)
    ended = edgevit("run", "/dev/video0", "--host", "box")
    assert ended.code == 2
    assert re.search("lines that are no answers|a line of more than 8 MiB", ended.err), ended.err


def test_a_stream_has_a_deadline_where_its_length_is_known(
    reachable: Loopback, tmp_path: Path, edgevit: Command
) -> None:
    _hostile_device(tmp_path, edgevit, by_verb("stream: exec sleep 1000"))
    name = f"{sha256_of(PREBUILT_BUNDLE / MANIFEST_FILE)}.edgevit"
    shutil.copytree(PREBUILT_BUNDLE, tmp_path / "hostile" / "bundles" / name)
    ended = edgevit("run", "/dev/video0", "--host", "box", "--timeout", 1)
    assert ended.code == 2
    assert "no end of 'python' in 1 s" in ended.err
    address = parse(["/dev/video0"])
    assert _limit_s(address, {}) is None
    assert 60 < (_limit_s(address, {"--duration": 60.0}) or 0) < 7200


@pytest.mark.parametrize("command", ["bench", "verify", "eval"])
def test_a_deadline_without_a_device_is_refused(command: str, edgevit: Command) -> None:
    data = ("--data", PREBUILT_BUNDLE) if command == "eval" else ()
    assert (
        "--timeout is for work on a device" in edgevit(command, *data, "--timeout", 5).one_message
    )


def test_a_run_that_goes_on_in_silence_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Now and then the device says that it is still there."""
    monkeypatch.setattr(agent, "_ALIVE_S", 0.1)
    held = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    (tmp_path / "log").write_bytes(b"one\n")
    lines = agent._log_lines(tmp_path)
    assert [next(lines) for _ in range(3)] == ["one", None, None]
    os.close(held)
    assert list(lines) in ([], [None])


def test_a_greeting_is_passed_over() -> None:
    text = 'Welcome to the device!\nedgevit: {"a": 1}\nbye\n'
    assert list(protocol.messages(io.BytesIO(text.encode()), "box")) == [{"a": 1}]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("cat >/dev/null; echo hello", "answered nothing that edgevit understands"),
        ("cat >/dev/null; echo 'edgevit: [1'", "sent what is no message"),
        ("cat >/dev/null; echo 'edgevit: [1]'", "sent what is no message"),
        ("cat >/dev/null; yes 'edgevit: {' | head -c 100000 | tr -d '\\n'", "sent what is no"),
        ("cat >/dev/null; echo 'edgevit: {}'", "figures of different code"),
        ("echo boom >&2; exit 3", r"boom (exit code 3)"),
    ],
)
def test_nonsense_from_a_device_is_one_message(
    script: str, message: str, reachable: Loopback, tmp_path: Path, edgevit: Command
) -> None:
    _hostile_device(tmp_path, edgevit, script)
    ended = edgevit("bench", "--host", "box")
    assert ended.code == 2
    assert message in ended.one_message


def test_a_terminal_is_not_taken_over(
    reachable: Loopback, tmp_path: Path, edgevit: Command
) -> None:
    _hostile_device(
        tmp_path,
        edgevit,
        "cat >/dev/null; "
        r"""printf 'edgevit: {"error": "\\u001b]0;x\\u0007\\u001b[2J\\u202egnp"}\n'""",
    )
    ended = edgevit("bench", "--host", "box")
    assert ended.code == 2
    assert not set(ended.err) & {"\x1b", "\x07", "\u202e"}
    assert harmless("a\x1b[31mb\r\nc\x00\u202e") == "a[31mb  c"
    assert len(harmless("x" * 10_000)) < 500


def _agent_that_returns(result: dict[str, Any], tmp_path: Path) -> str:
    """A device that says the right things until the result, which it makes up."""
    answers = {
        "hello": {
            "edgevit": edgevit.__version__,
            "code": protocol.code_digest(),
            "has_bundle": True,
            "free_mib": 9000,
        },
        "start": {"started": "x"},
        "follow": {"result": result},
        "forget": {},
    }
    for verb, answer in answers.items():
        (tmp_path / f"{verb}.answer").write_text("edgevit: " + json.dumps(answer) + "\n")
    pick = 'sed \'s/.*"verb": "\\([a-z]*\\)".*/\\1/\''
    return f'verb=$(head -n 1 | {pick}); cat "{tmp_path}/$verb.answer"'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "something"}, "not a result of edgevit bench"),
        ({"durations_us": [[1e400]]}, "no figure"),
        ({"model": {"name": "../../../pwned", "variant": 3}}, "model.variant is int"),
    ],
)
def test_a_made_up_result_is_refused(
    change: dict[str, Any], message: str, reachable: Loopback, tmp_path: Path, edgevit: Command
) -> None:
    _hostile_device(tmp_path, edgevit, _agent_that_returns({**made(), **change}, tmp_path))
    ended = edgevit("bench", "--host", "box")
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert not list(tmp_path.rglob("results/*"))


def test_names_from_a_device_are_no_paths(
    reachable: Loopback, tmp_path: Path, edgevit: Command, home: Path
) -> None:
    result = made(device="../../x")
    result["model"]["name"] = "../../../../pwned"
    result["kept"] = "/etc/passwd"
    result["disturbances"] = ["\x1b]0;taken\x07"]
    result["conditions"]["machine"]["name"] = "\x1b[2J\u202eboard"
    _hostile_device(tmp_path, edgevit, _agent_that_returns(result, tmp_path))
    ended = edgevit("bench", "--host", "box", "--json")
    assert ended.code == 0, ended.err
    kept = Path(json.loads(ended.out)["kept"])
    assert kept.parent == home / "state" / "edgevit" / "results"
    assert kept.name.startswith("lla_tiny-loopback-")
    for place in (ended.out, kept.read_text()):
        assert "\\u001b" not in place
        assert "\\u202e" not in place
    assert "\x1b" not in edgevit("bench", "--host", "box").out


def test_a_result_without_its_parts_is_one_message(
    reachable: Loopback, tmp_path: Path, edgevit: Command
) -> None:
    result = made()
    del result["peak_memory_mib"]["without_model"]
    _hostile_device(tmp_path, edgevit, _agent_that_returns(result, tmp_path))
    ended = edgevit("bench", "--host", "box")
    assert ended.code == 2
    assert "peak_memory_mib.without_model is missing" in ended.one_message


def _agent(folder: Path, job: dict[str, Any], more: bytes = b"") -> dict[str, Any]:
    """The real agent in a process, without ssh."""
    folder.mkdir(exist_ok=True)
    ended = subprocess.run(
        [sys.executable, "-m", "edgevit_runtimes.remote.agent", str(folder)],
        input=json.dumps(job).encode() + b"\n" + more,
        capture_output=True,
        check=True,
        env=environment(),
    )
    (answer,) = protocol.messages(io.BytesIO(ended.stdout), "box")
    return answer


@pytest.mark.parametrize(
    ("job", "more", "message"),
    [
        ({"verb": "hello", "bundle": "../../etc"}, b"", "named by its SHA-256"),
        ({"verb": "forget", "run": "../../etc"}, b"", "sixteen hexadecimal digits"),
        ({"verb": "follow", "run": "0" * 16}, b"", "There is no run"),
        ({"verb": "store", "bundle": "0" * 64, "files": [["../x", 1]]}, b"x", "no name for a file"),
        ({"verb": "store", "bundle": "0" * 64, "files": [["a", 9]]}, b"x", "arrived incomplete"),
        (
            {"verb": "store", "bundle": "0" * 64, "files": [["manifest.json", 2]]},
            b"{}",
            "arrived changed",
        ),
    ],
)
def test_the_agent_refuses(job: dict[str, Any], more: bytes, message: str, tmp_path: Path) -> None:
    answer = _agent(tmp_path / "agent", job, more)
    assert message in answer["error"]
    assert not list(tmp_path.rglob("*.edgevit")), "nothing half-written stays"


def test_a_bundle_that_changed_on_the_way_is_refused(tmp_path: Path) -> None:
    from edgevit.bundle.bundle import Bundle
    from edgevit.common.storage.hashes import sha256_of

    bundle = Bundle.open(PREBUILT_BUNDLE)
    names = ["manifest.json", *bundle.manifest.used_files()]
    contents = [(bundle.path / name).read_bytes() for name in names]
    job = {
        "verb": "store",
        "bundle": sha256_of(bundle.path / "manifest.json"),
        "files": [[n, len(c)] for n, c in zip(names, contents, strict=True)],
    }
    changed = b"".join(contents)[:-1] + b"\x00"
    assert "was changed after export" in _agent(tmp_path / "a", job, changed)["error"]
    assert _agent(tmp_path / "a", job, b"".join(contents)) == {"stored": True}


# ---- setup


def test_what_pip_is_to_bring() -> None:
    nothing: dict[str, Any] = {"cv2": None, "onnxruntime": None, "tensorrt": None}
    assert bootstrap.OPENCV in list(bootstrap.requirements(nothing))
    jetson = {**nothing, "cv2": ["4.8.0", "/usr/lib/python3/dist-packages/cv2/__init__.py"]}
    wanted = list(bootstrap.requirements(jetson))
    assert not any("opencv" in need for need in wanted), "pip's has no GStreamer and would cover it"
    assert "numpy>=1.26,<2" in wanted, "OpenCV 4.8 was built for NumPy 1"
    thor = {**jetson, "cv2": ["4.12.0", "x"], "onnxruntime": ["1.23.0", "x"]}
    wanted = list(bootstrap.requirements(thor))
    assert "numpy>=1.26,<3" in wanted
    assert not any("onnxruntime" in need for need in wanted)


def test_what_pip_is_to_bring_is_what_the_package_declares() -> None:
    import re

    text = (Path(edgevit.__file__).parents[1] / "pyproject.toml").read_text()
    declared = re.search(r"\ndependencies = \[(.*?)\n\]", text, re.DOTALL)
    assert declared is not None
    listed = [need.partition(";")[0].strip() for need in re.findall(r'"([^"]+)"', declared[1])]
    ours = [*bootstrap.NEEDED, *bootstrap.NEEDED_BEFORE_3_11, bootstrap.OPENCV]
    assert sorted(listed) == sorted(ours)


def test_extras_of_a_device_are_those_that_the_package_declares() -> None:
    text = (Path(edgevit.__file__).parents[1] / "pyproject.toml").read_text()
    for need in bootstrap.FOR_A_CAMERA:
        assert f'"{need}"' in text
    assert '"cuda-bindings>=12.8,<14"' in text, "each of ours lies within"
    assert [need.split(">")[0] for need in bootstrap.extras(None)] == [
        "aiohttp",
        "prometheus-client",
        "av",
    ]
    jetpack_6, jetpack_7 = (bootstrap.extras(cuda)[-1] for cuda in ("12.6.11", "13.0.48"))
    assert jetpack_6 == "cuda-bindings>=12.8,<13", "a 13 needs a newer driver than JetPack 6 has"
    assert jetpack_7 == "cuda-bindings>=13,<14"
    assert bootstrap.extras("11.4") == bootstrap.extras(None), "JetPack 5 has none that fits"


def test_the_cuda_of_a_device_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "version.json"
    monkeypatch.setattr(bootstrap, "CUDA_VERSION", file)
    assert bootstrap.cuda_version() is None
    file.write_text('{"cuda": {"name": "CUDA SDK", "version": "12.6.11"}}')
    assert bootstrap.cuda_version() == "12.6.11"
    file.write_text("[]")
    assert bootstrap.cuda_version() is None


def test_a_device_is_shown_with_what_is_deployed(device: Path, edgevit: Command) -> None:
    from edgevit_runtimes.deployment.deployment_slot import Slot, Version

    (device / "deployed" / "main").mkdir(parents=True)
    Slot(device).switch(Version("a" * 64, "m", "t"))
    shown = edgevit("devices", "show", "box")
    assert shown.code == 0, shown.err
    assert "deployed, slot main" in shown.out
    assert "aaaaaaaaaaaa" in shown.out
    found = json.loads(edgevit("devices", "show", "box", "--json").out)
    assert found["deployed"] == {"main": "a" * 64}
    assert found["machine"]["cores_usable"] >= 1


def test_the_bootstrap_is_readable_for_old_pythons() -> None:
    import ast

    ast.parse(Path(bootstrap.__file__).read_text(), feature_version=(3, 6))


def test_the_bootstrap_says_what_is_there(reachable: Loopback) -> None:
    from edgevit_runtimes.remote.setup import facts

    with Ssh(Device("loopback", "/nowhere/at/all")) as ssh:
        found = facts(ssh)
    assert found["free_mib"] > 0
    assert found["python"].startswith("3.")


@pytest.mark.slow
def test_a_device_is_set_up_for_real(reachable: Loopback, tmp_path: Path, edgevit: Command) -> None:
    """Our wheel and what it needs, by pip, in an environment of its own; then a bench in it."""
    folder = tmp_path / "fresh"
    edgevit("devices", "add", "box", "loopback", "--folder", folder)
    ended = edgevit("devices", "setup", "box")
    if "Could not find a version" in ended.err:
        missing("no package index can be reached")
    assert ended.code == 0, ended.err
    result = edgevit("bench", "--host", "box", *SHORT, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["latency_ms"]["samples"] == 30
    assert edgevit("devices", "setup", "box").code == 0, "and again, over what is there"


def test_a_wheel_for_a_processor_that_nothing_compiles_for_has_no_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(setup, "find_spec", lambda _: None)
    other = "aarch64" if platform.machine() == "x86_64" else "x86_64"
    assert setup.engine_settings(other) == {"EDGEVIT_WITHOUT_ENGINE": "1"}
    assert setup.engine_settings(platform.machine()) == {}


@pytest.mark.slow
def test_a_wheel_is_built_from_the_checkout(tmp_path: Path) -> None:
    import zipfile

    wheel = build_wheel(tmp_path, platform.machine())
    names = zipfile.ZipFile(wheel).namelist()
    assert "edgevit_runtimes/backends/native/libedgevit.so" in names
    assert "edgevit_runtimes/remote/agent.py" in names
    assert any(name.endswith("lla_tiny.edgevit/manifest.json") for name in names)
