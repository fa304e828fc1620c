"""The device's side: ``python -m edgevit_runtimes.remote.agent FOLDER``, one job on standard input.

Runs go on without a connection. A run is a folder with its job, its log and, at the end, its
result or its error; as long as it lives, it holds a lock on that folder, which goes with it however
it ends. The agent measures; other work is done by ``edgevit.workflows.remote.device_work``, which
is started as a process because the agent's package lies below the workflows.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgevit.bundle.bundle import MANIFEST_FILE, Bundle
from edgevit.common.errors import (
    CheckFailedError,
    DeviceError,
    EdgevitError,
    InputError,
    options_as_typed,
)
from edgevit.common.progress import PlainProgress
from edgevit.common.schema import typed
from edgevit.common.storage.files import write_atomically
from edgevit.common.storage.folders import folder_written_aside
from edgevit.common.storage.hashes import sha256_of
from edgevit.common.version import __version__
from edgevit_runtimes.bench import measure
from edgevit_runtimes.bench.bench_options import BenchOptions
from edgevit_runtimes.deployment.deployment_slot import slots
from edgevit_runtimes.devices import machine
from edgevit_runtimes.remote import protocol
from edgevit_runtimes.remote.transfer import device_pictures
from edgevit_runtimes.remote.transfer.receive_file import receive_file

_HASH = re.compile(r"[0-9a-f]{64}")
_RUN = re.compile(r"[0-9a-f]{16}")
_POLL_S = 0.1
_ALIVE_S = 5.0  # how often who follows hears that the run goes on
_RESERVE = "reserve"  # a file that makes room for the reason of a failure
_RESERVE_BYTES = 1 << 12
_THIS_MODULE = "edgevit_runtimes.remote.agent"
_WORK_MODULE = "edgevit.workflows.remote.device_work"

Work = Callable[[Path, dict[str, Any]], dict[str, Any]]


def main() -> None:
    os.umask(0o077)
    home = Path(sys.argv[1])
    job = json.loads(sys.stdin.buffer.readline())
    with options_as_typed():  # whoever asked says them in the words of the one that reads them
        try:
            answer = VERBS[job["verb"]](home, job)
        except (EdgevitError, OSError) as error:
            code = error.exit_code if isinstance(error, EdgevitError) else 2
            answer = {"error": str(error), "code": code}
    protocol.send(answer, sys.stdout.buffer)


def hello(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Who is there, and whether it has the bundle that is wanted."""
    here = machine.describe()
    return {
        "edgevit": __version__,
        "code": protocol.code_digest(),
        "kind": here.kind,
        "architecture": platform.machine(),
        "free_mib": shutil.disk_usage(home).free >> 20,
        "deployed": {slot.name: slot.current for slot in slots(home)},
        "has_bundle": (bundle_folder(home, job) / MANIFEST_FILE).is_file(),
    }


def store(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Receives a bundle: files one after the other, of the sizes that the job says."""
    target = bundle_folder(home, job)
    with folder_written_aside(target, True, MANIFEST_FILE) as folder:
        for name, size in job["files"]:
            if Path(name).name != name or name.startswith("."):
                raise InputError(f"{name!r} is no name for a file of a bundle.")
            receive_file(sys.stdin.buffer, folder / name, size)
        if sha256_of(folder / MANIFEST_FILE) != job["bundle"]:
            raise InputError("The bundle arrived changed. Send it again.")
        Bundle.open(folder, check_hashes=True)
    return {"stored": True}


def fetch(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Sends files of a bundle: a message with their sizes, then what they hold."""
    bundle = Bundle.open(bundle_folder(home, job))
    files = [
        bundle.path / MANIFEST_FILE if n == MANIFEST_FILE else bundle.file(n) for n in job["files"]
    ]
    protocol.send({"sizes": [file.stat().st_size for file in files]}, sys.stdout.buffer)
    for file in files:
        with file.open("rb") as source:
            shutil.copyfileobj(source, sys.stdout.buffer)
    return {"sent": len(files)}


def stream(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Becomes ``edgevit run``: its answers, a line of JSON each, are all that follows."""
    sources = job["sources"]
    if "set" in job:
        folder = device_pictures.set_folder(home, job["set"])
        sources = [str(folder / each) for each in sources]
    options = [*job["options"], "--jsonl", "-", "--"]
    command = ["-m", "edgevit", "run", *options, str(bundle_folder(home, job)), *sources]
    os.execv(sys.executable, [sys.executable, *command])


def start(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Begins a run that outlives the connection."""
    folder = _run_folder(home, job)
    folder.mkdir(parents=True)
    _write_json(folder / "job.json", job)
    (folder / _RESERVE).write_bytes(bytes(_RESERVE_BYTES))
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with (folder / "log").open("wb") as log:
        subprocess.Popen(
            [sys.executable, "-m", _WORK_MODULE if "work" in job else _THIS_MODULE, str(home)],
            stdin=_as_input({"verb": "measure", "run": job["run"], "bundle": job["bundle"]}),
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=[lock],
        )
    os.close(lock)
    return {"started": job["run"]}


def _as_input(content: dict[str, Any]) -> int:
    """A pipe that holds one line, which is short enough to wait in it."""
    read, write = os.pipe()
    os.write(write, json.dumps(content).encode() + b"\n")
    os.close(write)
    return read


def run_measurement(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    """A bench, carried out in a process of its own."""
    return carry_out(home, job, _measured)


def carry_out(home: Path, job: dict[str, Any], work: Work) -> dict[str, Any]:
    """The run itself, with the lock inherited; what it says goes to the log.

    Args:
        job: names the run, whose folder has the whole job.
        work: gets the folder of edgevit and the whole job, and returns the result.
    """
    folder = _run_folder(home, job)
    try:
        wanted = json.loads((folder / "job.json").read_text())
        _write_json(folder / "result.json", work(home, wanted))
    except Exception as error:  # whatever it is, who follows the run is told
        failure = _failure(error)
        (folder / _RESERVE).unlink(missing_ok=True)  # on a full disk there is room for this now
        _write_json(folder / "error.json", failure)
        return failure
    return {"ended": True}


def _measured(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    _refuse_other_device(job["device"])
    try:
        options = typed(BenchOptions, job["options"], where="options")
    except ValueError as error:
        raise InputError(str(error)) from error
    bundle = Bundle.open(bundle_folder(home, job))
    return measure.bench(bundle, options, PlainProgress()).to_dict()


def _failure(error: Exception) -> dict[str, Any]:
    if isinstance(error, EdgevitError):
        return {"error": str(error), "code": error.exit_code}
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return {"error": f"The run failed: {where}{error.strerror or error}.", "code": 2}
    return {"error": f"The run failed: {type(error).__name__}: {error}.", "code": 1}


def _refuse_other_device(wanted: str) -> None:
    kind = machine.describe().kind
    if wanted not in ("auto", kind):
        raise InputError(f"--machine {wanted} was asked for, but the machine there is {kind}.")


def follow(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Passes the log on while the run lives; ends with its result, its error, or neither."""
    folder = _run_folder(home, job)
    if not folder.is_dir():
        raise InputError(f"There is no run {job['run']} on this device any more.")
    for line in _log_lines(folder):
        protocol.send({"alive": True} if line is None else {"line": line}, sys.stdout.buffer)
    for name in ("result", "error"):
        file = folder / f"{name}.json"
        if file.is_file():
            content = json.loads(file.read_text())
            return {"result": content} if name == "result" else content
    _refuse_full_disk(folder)
    raise CheckFailedError("The run was ended from outside: killed, out of memory, or a restart.")


def _refuse_full_disk(folder: Path) -> None:
    """Where a run could not even write down why it ended."""
    if shutil.disk_usage(folder).free < _RESERVE_BYTES:
        raise DeviceError(f"The run ended, and the disk that holds {folder} is full. Make room.")


def _log_lines(folder: Path) -> Iterator[str | None]:
    """Whole lines of the log as they come, until the run is over; None every few seconds."""
    begun, said_s = b"", time.monotonic()
    with (folder / "log").open("rb") as log:
        is_over = False
        while not is_over:
            is_over = not _is_running(folder)  # before reading, so that nothing is missed
            *lines, begun = (begun + log.read()).split(b"\n")
            yield from (
                line.decode(errors="replace")
                for line in lines
                if not line.startswith(protocol.MARK)
            )
            if time.monotonic() - said_s > _ALIVE_S:
                yield None
                said_s = time.monotonic()
            time.sleep(0 if is_over else _POLL_S)


def _is_running(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def bundles_of_runs(home: Path) -> frozenset[str]:
    """Bundles that runs which go on have opened."""
    jobs = (folder / "job.json" for folder in (home / "runs").glob("*/") if _is_running(folder))
    return frozenset(json.loads(job.read_text())["bundle"] for job in jobs if job.is_file())


def forget(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Deletes a run whose result has come home."""
    shutil.rmtree(_run_folder(home, job), ignore_errors=True)
    return {"forgotten": job["run"]}


def bundle_folder(home: Path, job: dict[str, Any]) -> Path:
    """Where a bundle lies on the device: under the SHA-256 of its manifest.

    Raises:
        InputError: the job names it by something else.
    """
    if not _HASH.fullmatch(job["bundle"]):
        raise InputError("A bundle is named by its SHA-256.")
    return home / "bundles" / f"{job['bundle']}.edgevit"


def _run_folder(home: Path, job: dict[str, Any]) -> Path:
    if not _RUN.fullmatch(job["run"]):
        raise InputError("A run is named by sixteen hexadecimal digits.")
    return home / "runs" / str(job["run"])


def _write_json(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, lambda aside: aside.write_text(json.dumps(content), encoding="utf-8"))


VERBS: dict[str, Callable[[Path, dict[str, Any]], dict[str, Any]]] = {
    "hello": hello,
    "store": store,
    "fetch": fetch,
    "lacking_pictures": device_pictures.lacking,
    "store_pictures": device_pictures.store,
    "stream": stream,
    "start": start,
    "measure": run_measurement,
    "follow": follow,
    "forget": forget,
}


if __name__ == "__main__":
    main()
