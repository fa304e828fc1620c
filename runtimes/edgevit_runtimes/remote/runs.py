"""Work on a device: begun there, followed from here; a bench is picked up if the line breaks."""

from __future__ import annotations

import json
import secrets
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import Any

from edgevit.bundle.bundle import MANIFEST_FILE, Bundle
from edgevit.common.errors import ConnectionLostError, DeviceError, EdgevitError
from edgevit.common.progress import Progress
from edgevit.common.storage.files import write_atomically
from edgevit.common.storage.hashes import sha256_of
from edgevit.common.untrusted.sanitize import harmless
from edgevit.common.version import __version__
from edgevit.results.bench_result import BenchResult, parse_result
from edgevit_runtimes.bench.bench_options import BenchOptions
from edgevit_runtimes.remote import protocol
from edgevit_runtimes.remote.calls import ask, conversation, refuse_error
from edgevit_runtimes.remote.pending import BENCH, PendingRun
from edgevit_runtimes.remote.ssh import Ssh
from edgevit_runtimes.remote.transfer.send_bundle import send_bundle

NO_BUNDLE = "0" * 64


@dataclass(frozen=True)
class Follower:
    """Who waits for a run: progress shows what it says, timeout_s is how long it is waited for.

    timeout_s None: as long as such a run can take.
    """

    progress: Progress
    timeout_s: float | None = None


def bench_there(
    ssh: Ssh, bundle: Bundle, options: BenchOptions, device: str, follower: Follower
) -> BenchResult:
    """Sends what is missing, begins a run, follows it, and brings its result home.

    Args:
        device: the kind of machine that it has to be, or ``auto``.

    Raises:
        ConnectionLostError: in the middle, or it took too long; says how to pick the run up again.
        DeviceError, CheckFailedError: as the device says.
    """
    sha256 = bring_bundle(ssh, bundle, follower.progress)
    pending = _new_run(ssh, bundle.manifest.model.name, follower.timeout_s or options.longest_s)
    job = {"bundle": sha256, "device": device, "options": asdict(options)}
    pending.keep()
    try:
        _begin(ssh, pending, job)
    except EdgevitError as error:
        if not isinstance(error, ConnectionLostError):  # else it may have begun all the same
            pending.drop()
        raise
    return follow(ssh, pending, follower.progress)


def work_there(
    ssh: Ssh, model: str, work: str, job: dict[str, Any], follower: Follower
) -> dict[str, Any]:
    """Other work than a bench: begun, followed, and its result as the device sent it.

    Args:
        work: one of :mod:`edgevit.workflows.remote.device_work`.
        model: its name, for people.
        job: the rest of what it is told; ``bundle`` names a bundle that is there.

    Raises:
        ConnectionLostError: in the middle, or it took too long. DeviceError, CheckFailedError: as
            the device says.
    """
    pending = _new_run(ssh, model, follower.timeout_s, work)
    _begin(ssh, pending, {**job, "work": work})
    last = _followed(ssh, pending, follower.progress)
    with suppress(DeviceError):  # then a few files stay there; the result is here
        ask(ssh, {"verb": "forget", "run": pending.run})
    refuse_error(last, ssh.device.host)
    result = last["result"]
    if not isinstance(result, dict):
        raise DeviceError(f"{ssh.device.host} sent what is no result of edgevit.")
    return result


def bring_bundle(ssh: Ssh, bundle: Bundle, progress: Progress) -> str:
    """Sends a bundle where the device does not have it; gives its name there.

    Raises:
        DeviceError: edgevit there is another, or is not set up; the device refuses the bundle.
    """
    sha256 = sha256_of(bundle.path / MANIFEST_FILE)
    there = hello(ssh, sha256)
    if there.get("has_bundle") is not True:
        send_bundle(ssh, bundle, sha256, there.get("free_mib"), progress)
    return sha256


def hello(ssh: Ssh, bundle: str = NO_BUNDLE) -> dict[str, Any]:
    """What a device says of itself and of a bundle.

    Raises:
        DeviceError: edgevit there is another, or is not set up.
    """
    there = ask(ssh, {"verb": "hello", "bundle": bundle})
    _refuse_other_code(ssh.device.host, there)
    return there


def _new_run(ssh: Ssh, model: str, timeout_s: float | None, work: str = BENCH) -> PendingRun:
    return PendingRun(
        run=secrets.token_hex(8),
        host=ssh.device.host,
        folder=ssh.device.folder,
        model=model,
        began=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        work=work,
        timeout_s=timeout_s,
    )


def _begin(ssh: Ssh, pending: PendingRun, job: dict[str, Any]) -> None:
    try:
        ask(ssh, {**job, "verb": "start", "run": pending.run})
    except ConnectionLostError as error:
        raise ConnectionLostError(f"{error} {pending.pick_up}") from error


def follow(ssh: Ssh, pending: PendingRun, progress: Progress) -> BenchResult:
    """Shows a bench's progress until it ends; its result is kept, and returned with its place.

    Raises:
        ConnectionLostError: says how to pick it up again. Others as the device says.
    """
    last = _followed(ssh, pending, progress)
    try:
        return _brought_home(pending, last)
    finally:
        pending.drop()
        with suppress(DeviceError):  # then a few files stay there; the result is here
            ask(ssh, {"verb": "forget", "run": pending.run})


def _followed(ssh: Ssh, pending: PendingRun, progress: Progress) -> dict[str, Any]:
    """The last message of a run, which has its result or its error."""
    last: dict[str, Any] = {}
    try:
        job = {"verb": "follow", "run": pending.run}
        with conversation(ssh, job, timeout_s=pending.timeout_s) as running:
            for last in protocol.messages(running, ssh.device.host):
                if "line" in last:
                    progress.line(harmless(str(last["line"])))
    except ConnectionLostError as error:
        raise ConnectionLostError(f"{error} {pending.pick_up}") from error
    except EdgevitError:
        raise
    except BaseException:  # Ctrl-C, however it arrives
        progress.line(pending.pick_up)
        raise
    if "result" not in last and "error" not in last:
        raise ConnectionLostError(f"{ssh.device.host} fell silent. {pending.pick_up}")
    return last


def _brought_home(pending: PendingRun, last: dict[str, Any]) -> BenchResult:
    """The result, checked and kept.

    Raises:
        InputError: what came is no result. DeviceError, CheckFailedError: the run's own error.
    """
    refuse_error(last, pending.host)
    result = parse_result(json.dumps(last["result"]), f"The result of {pending.host}")
    text = json.dumps(result.to_dict(), indent=2)
    write_atomically(pending.result_file, lambda aside: aside.write_text(text, encoding="utf-8"))
    return replace(result, kept=str(pending.result_file))


def _refuse_other_code(host: str, there: dict[str, Any]) -> None:
    here = {"edgevit": __version__, "code": protocol.code_digest()}
    if any(there.get(key) != value for key, value in here.items()):
        said, ours = (
            f"edgevit {harmless(str(side.get('edgevit')))} (code {harmless(str(side.get('code')))})"
            for side in (there, here)
        )
        raise DeviceError(
            f"{host} has {said}, here it is {ours}; figures of different code cannot be compared. "
            f"Renew it with: edgevit devices setup {host}"
        )
