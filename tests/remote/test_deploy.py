"""Bundles on devices: three real SSH servers on loopback, each with a folder of its own."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevit.bundle.bundle import MANIFEST_FILE, Bundle
from edgevit.bundle.edit import edit
from edgevit.bundle.reference import Reference, write_reference
from edgevit.common.errors import InputError
from edgevit.common.storage.hashes import sha256_of
from edgevit.workflows.remote.bench_fleet import FleetBenchResult
from edgevit.workflows.remote.deploy import Deployed, DeployResult, deploy
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.deployment.deployment_slot import Slot, Version
from edgevit_runtimes.service.unit_file import Service
from support import Command, environment
from support.machines.fleet_servers import FleetOfServers, fleet_of_servers
from support.machines.ssh_server import stand_in_device
from support.made_results import made_result

pytestmark = pytest.mark.early

NAMES = ("one", "two", "three")
SHIPPED = sha256_of(PREBUILT_BUNDLE / MANIFEST_FILE)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetOfServers]:
    with fleet_of_servers(tmp_path_factory.mktemp("fleet"), NAMES) as started:
        yield started


@pytest.fixture
def devices(
    servers: FleetOfServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edgevit: Command
) -> dict[str, Path]:
    """Three devices that are set up, in one fleet called ``all``; their folders."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("EDGEVIT_SSH", servers.ssh)
    folders = {name: stand_in_device(tmp_path / f"device {name}") for name in NAMES}
    for name, folder in folders.items():
        assert edgevit("devices", "add", name, name, "--folder", folder).code == 0
    assert edgevit("devices", "fleet", "all", *NAMES).code == 0
    return folders


def current(device: Path) -> str | None:
    return Slot(device).current


def other_version(tmp_path: Path) -> Path:
    """The shipped bundle with a choice that changes nothing but its manifest."""
    target = tmp_path / "other.edgevit"
    shutil.copytree(PREBUILT_BUNDLE, target)
    with edit(Bundle.open(target)) as draft:
        draft.choose("jetson", "float")
    return target


def wrong_version(tmp_path: Path) -> Path:
    """A whole bundle, hashes and all, whose model does not answer as its reference says."""
    target = tmp_path / "wrong.edgevit"
    shutil.copytree(PREBUILT_BUNDLE, target)
    with edit(Bundle.open(target)) as draft:
        known = draft.bundle.reference()
        flipped = {name: np.flip(array, axis=-1) for name, array in known.outputs.items()}
        write_reference(draft.folder, Reference(known.images, flipped))
    return target


# ---- one device


def test_a_bundle_is_sent_once_verified_and_made_current(
    devices: dict[str, Path], edgevit: Command, tmp_path: Path
) -> None:
    ended = edgevit("deploy", PREBUILT_BUNDLE, "--host", "one", "--json")
    assert ended.code == 0, ended.err
    found = json.loads(ended.out)["devices"]["one"]
    link = Path(found["path"])
    assert link == devices["one"] / "deployed" / "main" / "current"
    assert link.is_symlink()
    assert Bundle.open(link, check_hashes=True).manifest_sha256 == SHIPPED == found["current"]
    sent = (link / MANIFEST_FILE).stat().st_ino
    again = edgevit("deploy", PREBUILT_BUNDLE, "--host", "one")
    assert again.code == 0, again.err
    assert "was current already" in again.out
    assert (link / MANIFEST_FILE).stat().st_ino == sent, "it lay there"
    assert Slot(devices["one"]).versions()[0].model == "lla_tiny.edgevit"


# Stands for the systemd that no test machine has: it notes what it is asked, and plays a part.
_SYSTEMCTL = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in
  *"restart"*) [ {state} = broken ] && {{ echo "Job failed." >&2; exit 1; }} ;;
  *"show"*) if [ {state} = inactive ]; then echo inactive; else echo active; fi ;;
esac
exit 0
"""


def with_service(device: Path, link: Path, state: str) -> Path:
    """A service on a device whose bundle is a link; gives what its systemctl was asked."""
    tools, calls = device / "tools", device / "calls"
    tools.mkdir(exist_ok=True)
    systemctl = tools / "systemctl"
    systemctl.write_text(_SYSTEMCTL.format(calls=shlex.quote(str(calls)), state=state))
    systemctl.chmod(0o755)
    config = device / "config"
    for name, bundle in (("camera", link), ("other", PREBUILT_BUNDLE)):
        unit = config / "systemd" / "user" / f"edgevit-{name}.service"
        unit.parent.mkdir(parents=True, exist_ok=True)
        unit.write_text(Service(bundle, "csi://0", "0.0.0.0:8080", name).text(device / "token"))
    paths = f"PATH={shlex.quote(str(tools))}:$PATH XDG_CONFIG_HOME={shlex.quote(str(config))}"
    _python_of(device, f"{paths} {_ours()}")
    return calls


@pytest.mark.parametrize(
    ("state", "options", "said", "asked", "code"),
    [
        ("active", (), "service 'camera' was restarted", True, 0),
        pytest.param(
            "active",
            ("--no-restart-service",),
            "still runs the bundle before",
            False,
            0,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "inactive", (), "service 'camera' does not run", False, 0, marks=pytest.mark.slow
        ),
        pytest.param("broken", (), "could not be restarted", True, 1, marks=pytest.mark.slow),
    ],
)
def test_services_of_the_deployed_bundle_are_restarted(
    state: str,
    options: tuple[str, ...],
    said: str,
    asked: bool,
    code: int,
    devices: dict[str, Path],
    edgevit: Command,
) -> None:
    device = devices["one"]
    calls = with_service(device, device / "deployed" / "main" / "current", state)
    ended = edgevit("deploy", PREBUILT_BUNDLE, "--host", "one", *options)
    assert ended.code == code, ended.err
    assert said in " ".join(ended.out.split())
    assert "other" not in ended.out, "it runs another bundle"
    assert ("restart edgevit-camera.service" in calls.read_text()) == asked
    assert "edgevit-other" not in calls.read_text()
    assert current(device) == SHIPPED, "the bundle is current whatever became of a service"
    if code:
        assert "The bundle is current, but services do not run it: one: camera." in ended.err
    calls.write_text("")
    again = edgevit("deploy", PREBUILT_BUNDLE, "--host", "one", *options)
    assert again.code == 0, again.err
    assert not calls.read_text(), "nothing was switched"


@pytest.mark.slow
def test_versions_are_kept_rolled_back_and_deleted(
    devices: dict[str, Path], edgevit: Command, tmp_path: Path
) -> None:
    other = other_version(tmp_path)
    assert edgevit("deploy", PREBUILT_BUNDLE, "--host", "one").code == 0
    assert edgevit("deploy", other, "--host", "one").code == 0
    later = current(devices["one"])
    assert later == sha256_of(other / MANIFEST_FILE)
    back = edgevit("deploy", "--rollback", "--host", "one", "--json")
    assert back.code == 0, back.err
    assert json.loads(back.out)["devices"]["one"]["before"] == later
    assert current(devices["one"]) == SHIPPED
    assert "no version before" in edgevit("deploy", "--rollback", "--host", "one").err
    kept = edgevit("deploy", other, "--host", "one", "--keep", 1, "--json")
    assert json.loads(kept.out)["devices"]["one"]["removed"] == [SHIPPED]
    assert [f.name for f in (devices["one"] / "bundles").glob("*.edgevit")] == [f"{later}.edgevit"]


def test_what_fails_verification_is_not_made_current(
    devices: dict[str, Path], edgevit: Command, tmp_path: Path
) -> None:
    assert edgevit("deploy", PREBUILT_BUNDLE, "--host", "one").code == 0
    ended = edgevit("deploy", wrong_version(tmp_path), "--host", "one")
    assert ended.code == 1
    assert "Verification failed for" in ended.err
    assert f"'current' stays at lla_tiny.edgevit {SHIPPED[:12]}" in ended.err
    assert current(devices["one"]) == SHIPPED
    assert [v.sha256 for v in Slot(devices["one"]).versions()] == [SHIPPED]


@pytest.mark.slow
def test_a_bundle_that_was_damaged_on_the_device_is_sent_anew(
    devices: dict[str, Path], edgevit: Command
) -> None:
    shutil.copytree(PREBUILT_BUNDLE, devices["one"] / "bundles" / f"{SHIPPED}.edgevit")
    model = devices["one"] / "bundles" / f"{SHIPPED}.edgevit" / "model.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    ended = edgevit("deploy", PREBUILT_BUNDLE, "--host", "one")
    assert ended.code == 2
    assert "was changed after export" in ended.err
    assert current(devices["one"]) is None
    assert edgevit("deploy", PREBUILT_BUNDLE, "--host", "one").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PREBUILT_BUNDLE,), "No device is given"),
        ((), "No bundle is given"),
        ((PREBUILT_BUNDLE, "--rollback", "--host", "one"), "give no bundle"),
        ((PREBUILT_BUNDLE, "--host", "one", "--slot", "../x"), "no name for a slot"),
        ((PREBUILT_BUNDLE, "--host", "one", "--host", "one"), "more than once"),
        ((PREBUILT_BUNDLE, "--fleet", "none"), "There is no fleet 'none'. Known: all."),
        (("/nowhere.edgevit", "--host", "one"), "is not a bundle"),
    ],
)
def test_what_cannot_be_deployed_is_one_message(
    arguments: tuple[object, ...], message: str, devices: dict[str, Path], edgevit: Command
) -> None:
    ended = edgevit("deploy", *arguments)
    assert ended.code == 2
    assert message in ended.one_message


# ---- the slot itself


def _slot(home: Path, *names: str) -> Slot:
    slot = Slot(home)
    slot.folder.mkdir(parents=True)
    for name in names:
        (home / "bundles" / f"{name}.edgevit").mkdir(parents=True)
    return slot


def test_current_names_a_bundle_at_every_moment(tmp_path: Path) -> None:
    """One thread looks while another switches: it finds no gap and no half."""
    first, second = "a" * 64, "b" * 64
    slot = _slot(tmp_path, first, second)
    slot.switch(Version(first, "m", "t"))
    seen, over = set(), threading.Event()

    def look() -> None:
        while not over.is_set():
            seen.add((slot.link.resolve().name, slot.link.is_dir()))

    watcher = threading.Thread(target=look)
    watcher.start()
    for i in range(100):
        with slot.lock():
            slot.switch(Version((first, second)[i % 2], "m", "t"))
    over.set()
    watcher.join()
    assert seen == {(f"{first}.edgevit", True), (f"{second}.edgevit", True)}
    assert len(slot.versions()) == 2


def test_a_slot_goes_back_to_the_version_before(tmp_path: Path) -> None:
    names = [letter * 64 for letter in "ab"]
    slot = _slot(tmp_path, *names)
    for name in names:
        slot.switch(Version(name, "m", "t"))
    assert slot.roll_back().sha256 == slot.current == names[0]
    with pytest.raises(InputError, match="no version before"):
        slot.roll_back()


def test_two_deployments_at_once_wait_for_each_other(tmp_path: Path) -> None:
    slot = _slot(tmp_path, "a" * 64)
    with slot.lock(), pytest.raises(InputError, match="Another process"):
        other = Slot(tmp_path)
        with other.lock(wait_s=0.1):
            raise AssertionError("both hold it")


def test_bundles_of_other_slots_are_not_deleted(tmp_path: Path) -> None:
    names = [letter * 64 for letter in "abc"]
    slot = _slot(tmp_path, *names)
    for name in names:
        slot.switch(Version(name, "m", "t"))
    assert slot.prune(1, frozenset({names[0]})) == [names[1]]
    assert (tmp_path / "bundles" / f"{names[0]}.edgevit").is_dir()
    assert slot.current == names[2]


def test_a_damaged_list_of_versions_is_one_message(tmp_path: Path) -> None:
    slot = _slot(tmp_path)
    (slot.folder / "versions.json").write_text("[{}]")
    with pytest.raises(InputError, match="is damaged"):
        slot.versions()


# ---- a fleet


@pytest.mark.slow
def test_two_deployments_to_one_device_at_once_are_both_whole(
    devices: dict[str, Path], tmp_path: Path
) -> None:
    other = other_version(tmp_path)
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda b=bundle: results.append(deploy(b, "one")))
        for bundle in (PREBUILT_BUNDLE, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(result.holds for result in results), results
    slot = Slot(devices["one"])
    assert {v.sha256 for v in slot.versions()} == {SHIPPED, sha256_of(other / MANIFEST_FILE)}
    assert slot.current == slot.versions()[-1].sha256
    Bundle.open(slot.link, check_hashes=True)


@pytest.mark.slow
def test_a_fleet_switches_but_where_verification_fails(
    devices: dict[str, Path], edgevit: Command, tmp_path: Path
) -> None:
    """The new version lies damaged on one device: that one stays at the version that it has."""
    assert edgevit("deploy", PREBUILT_BUNDLE, "--fleet", "all").code == 0
    other = other_version(tmp_path)
    later = sha256_of(other / MANIFEST_FILE)
    lying = devices["two"] / "bundles" / f"{later}.edgevit"
    shutil.copytree(other, lying)
    content = bytearray((lying / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (lying / "model.onnx").write_bytes(content)
    ended = edgevit("deploy", other, "--fleet", "all")
    assert ended.code == 1
    assert "failed on 1 of 3 devices: two." in ended.err
    assert f"'current' stays at lla_tiny.edgevit {SHIPPED[:12]}" in ended.out
    assert [current(devices[name]) for name in NAMES] == [later, SHIPPED, later]
    assert Bundle.open(Slot(devices["two"]).link, check_hashes=True).manifest_sha256 == SHIPPED
    assert edgevit("deploy", other, "--fleet", "all").code == 0, "it is sent anew"
    assert {current(folder) for folder in devices.values()} == {later}
    back = edgevit("deploy", "--rollback", "--fleet", "all")
    assert back.code == 0, back.err
    assert {current(folder) for folder in devices.values()} == {SHIPPED}


@pytest.mark.slow
def test_a_server_that_dies_in_the_middle_of_a_bench_stops_no_other(
    devices: dict[str, Path], edgevit: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole server of one device, with its connections; it does not come back."""
    (tmp_path / "own").mkdir()
    target, page = tmp_path / "fleet.json", tmp_path / "fleet.html"
    short = ("--samples", 10, "--frames", 2, "--fps", 100, "--warmup", 1, "--max-seconds", 20)
    with fleet_of_servers(tmp_path / "own", NAMES) as own:
        monkeypatch.setenv("EDGEVIT_SSH", own.ssh)
        dying = own.servers["three"]
        over = threading.Event()

        def end_it() -> None:
            while not _says(devices["three"], "time to the first answer"):
                if over.wait(0.02):
                    return
            for process in (dying.process.pid, *dying.sessions()):
                os.kill(process, signal.SIGKILL)

        killer = threading.Thread(target=end_it)
        killer.start()
        ended = edgevit("bench", "--fleet", "all", *short, "--output", target)
        over.set()
        killer.join()
        assert ended.code == 1, ended.err
        assert "The bench failed on 1 of 3 devices: three." in ended.err
        assert "FAILED: three: the connection was lost. The run goes on there." in ended.out
        assert "Traceback" not in ended.err
        table, _, _ = ended.out.partition("FAILED")
        assert max(map(len, table.splitlines())) <= 100
        found = json.loads(target.read_text())["devices"]
        assert [name for name in NAMES if "latency_ms" in found[name]] == ["one", "two"]
        deployed = edgevit("deploy", PREBUILT_BUNDLE, "--fleet", "all")
        assert deployed.code == 1
        assert "three: nothing answers there. Is its SSH server running?" in deployed.out
        assert [current(devices[name]) for name in NAMES] == [SHIPPED, SHIPPED, None]
    drawn = edgevit("report", target, "-o", page)
    assert drawn.code == 0, drawn.err
    assert "fleet.json: one" in page.read_text()
    assert "fleet.json: three" not in page.read_text()


def _says(device: Path, text: str) -> bool:
    return any(text in log.read_text() for log in (device / "runs").glob("*/log"))


def test_the_tables_of_a_fleet_fit_into_100_columns() -> None:
    """With the longest names that are usual."""
    host, path = "me@jetson-orin-nano.local", "/home/me/.cache/edgevit-device/deployed/main/current"
    measured = made_result(12.5, "NVIDIA Jetson Orin Nano", "tensorrt-int8-fp16")
    benched = FleetBenchResult("lla_tiny", {host: measured, "pi": measured})
    deployed = Deployed("a" * 64, path, (Version("a" * 64, "m", "t"),), "b" * 64, ())
    done = DeployResult("lla_tiny.edgevit", "main", {host: deployed, "pi": deployed})
    for result in (benched, done):
        assert max(map(len, str(result).splitlines())) <= 100
    assert "pi: NVIDIA Jetson Orin Nano" in str(benched)
    assert str(done).count(path) == 1, "where all have it, it is said once"


def test_names_that_are_no_devices_are_named_with_those_that_are(
    devices: dict[str, Path], edgevit: Command
) -> None:
    ended = edgevit(
        "deploy", PREBUILT_BUNDLE, "--host", "nowhere.invalid", "--host", "typo.invalid"
    )
    assert ended.code == 1
    for name in ("nowhere.invalid", "typo.invalid"):
        assert f"FAILED: {name}: no device that was added, host of your ssh config or" in ended.out
    assert "Known: one, two, three." in ended.out
    assert "failed on 2 of 2 devices" in ended.err


def test_two_names_of_one_device_are_refused(
    devices: dict[str, Path], edgevit: Command, tmp_path: Path
) -> None:
    """Two benches at once on one device would disturb each other."""
    folder = devices["one"]
    assert edgevit("devices", "add", "alias", "one", "--folder", folder).code == 0
    ended = edgevit("bench", "--host", "alias", "--fleet", "all")
    assert ended.code == 2
    assert "alias and one are one device, one. Give one name." in ended.one_message
    file = tmp_path / "config" / "edgevit" / "devices.toml"
    file.write_text(file.read_text().replace('["one", ', '["one", "one", '))
    assert "one is given more than once" in edgevit("bench", "--fleet", "all").one_message


def _python_of(device: Path, script: str) -> None:
    (device / "venv" / "bin" / "python").write_text(f"#!/bin/sh\n{script}\n")


def _ours() -> str:
    path = shlex.quote(environment()["PYTHONPATH"])
    return f'PYTHONPATH={path} exec {shlex.quote(sys.executable)} "$@"'


def test_a_fleet_goes_on_without_the_device_that_dies_and_the_one_that_is_full(
    devices: dict[str, Path], servers: FleetOfServers, edgevit: Command
) -> None:
    """One may write no file above 64 KiB; the sessions of another end from when it verifies on."""
    _python_of(devices["two"], f"ulimit -f 64\n{_ours()}")
    server = servers.servers["three"]

    def end_it() -> None:
        while not over.wait(0.02):
            if list((devices["three"] / "runs").glob("*/log")):
                for session in server.sessions():
                    with suppress(ProcessLookupError):  # it ended by itself
                        os.kill(session, signal.SIGKILL)

    over = threading.Event()
    killer = threading.Thread(target=end_it)
    killer.start()
    ended = edgevit("deploy", PREBUILT_BUNDLE, "--fleet", "all", "--json")
    over.set()
    killer.join()
    assert ended.code == 1, ended.err
    found = json.loads(ended.out)
    assert found["devices"]["one"]["current"] == SHIPPED
    assert "two: " in found["devices"]["two"]["error"]
    assert "File too large" in found["devices"]["two"]["error"]
    assert "connection was lost" in found["devices"]["three"]["error"]
    assert "failed on 2 of 3 devices: two, three" in ended.err
    assert "Traceback" not in ended.err
    assert current(devices["two"]) is None
    assert not list((devices["two"] / "bundles").glob("*")), "nothing half-written stays"
    assert current(devices["three"]) in (None, SHIPPED)
    _python_of(devices["two"], _ours())
    again = edgevit("deploy", PREBUILT_BUNDLE, "--fleet", "all")
    assert again.code == 0, again.err
    assert {current(folder) for folder in devices.values()} == {SHIPPED}


@pytest.mark.slow
def test_a_fleet_is_measured_at_once_and_failures_are_named(
    devices: dict[str, Path], edgevit: Command, tmp_path: Path
) -> None:
    """Another edgevit on one of them: its figures cannot be compared, and it is named."""
    hello = '{"edgevit": "0.0.1", "code": "0", "has_bundle": true, "free_mib": 9000}'
    _python_of(devices["two"], f"cat >/dev/null; echo 'edgevit: {hello}'")
    short = ("--samples", 10, "--frames", 2, "--fps", 100, "--warmup", 1, "--max-seconds", 20)
    target = tmp_path / "fleet.json"
    ended = edgevit("bench", "--fleet", "all", *short, "--output", target)
    assert ended.code == 1
    assert "The bench failed on 1 of 3 devices: two." in ended.err
    assert "two has edgevit 0.0.1" in ended.out
    assert "edgevit devices setup two" in ended.out
    found = json.loads(target.read_text())["devices"]
    assert set(found) == set(NAMES)
    assert found["one"]["latency_ms"]["samples"] == 10
    page = tmp_path / "fleet.html"
    drawn = edgevit("report", target, "-o", page)
    assert drawn.code == 0, drawn.err
    assert "2 results" in drawn.out
    assert "fleet.json: one" in page.read_text()


def test_fleets_are_kept_beside_devices(devices: dict[str, Path], edgevit: Command) -> None:
    assert json.loads(edgevit("devices", "list", "--json").out)["fleets"] == {"all": list(NAMES)}
    assert "one, two, three" in edgevit("devices").out
    assert edgevit("devices", "remove", "two").code == 0
    assert json.loads(edgevit("devices", "list", "--json").out)["fleets"] == {
        "all": ["one", "three"]
    }
    assert "No device can be called" in edgevit("devices", "add", "fleets", "me@x").one_message
    assert "is no address" in edgevit("devices", "fleet", "b", "a b;c").err
    assert edgevit("devices", "fleet", "all", "--remove").code == 0
    assert "No fleet has been made yet" in edgevit("bench", "--fleet", "all").one_message


def test_a_malformed_fleet_is_one_message(
    devices: dict[str, Path], edgevit: Command, tmp_path: Path
) -> None:
    file = tmp_path / "config" / "edgevit" / "devices.toml"
    file.write_text("[fleets]\nall = 7\n")
    assert "Mend it; a fleet is a line such as" in edgevit("bench", "--fleet", "all").one_message
