"""The device's side of work other than a bench: ``python -m ...device_work FOLDER``.

The agent starts it as a process of its own, with one line of JSON that names a run; the run's
folder has the whole job. What the work says on standard error goes to the run's log.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from edgevit.bundle.bundle import MANIFEST_FILE, Bundle
from edgevit.common.errors import CheckFailedError, DamagedError, InputError, options_as_typed
from edgevit.common.progress import PlainProgress
from edgevit.common.result import Result
from edgevit.common.storage.hashes import sha256_of
from edgevit_runtimes.deployment.deployment_slot import Slot, Version, bundles_of_others
from edgevit_runtimes.remote import agent, protocol
from edgevit_runtimes.remote.transfer.device_pictures import set_folder
from edgevit_runtimes.service.deployed_services import ServiceOfSlot, after_switch


def main() -> None:
    os.umask(0o077)
    home = Path(sys.argv[1])
    job = json.loads(sys.stdin.buffer.readline())
    with options_as_typed():
        protocol.send(agent.carry_out(home, job, work), sys.stdout.buffer)


def work(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Does what the job says; gives its result as it travels.

    Raises:
        EdgevitError: as the workflow does.
    """
    return WORK[job["work"]](home, job)


def _verify(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    from edgevit.workflows.verify import verify

    bundle = Bundle.open(agent.bundle_folder(home, job), check_hashes=True)
    result = verify(bundle, images=_pictures(home, job), progress=PlainProgress(), **job["options"])
    failure = None
    try:
        result.require()
    except (CheckFailedError, InputError) as error:
        failure = {"message": str(error), "code": error.exit_code}
    return _document(home, result, bundle, job) | {"failure": failure}


def _evaluate(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    from edgevit.workflows.evaluate import evaluate

    pictures = _pictures(home, job)
    if pictures is None:
        raise InputError("No pictures were given to evaluate on.")
    bundle = Bundle.open(agent.bundle_folder(home, job))
    result = evaluate(bundle, pictures, progress=PlainProgress(), **job["options"])
    return _document(home, result, bundle, job)


def _compile(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    """In a copy, which becomes a bundle of its own: what a bundle's name says stays true."""
    from edgevit.workflows.compile import compile_bundle

    with _copy_of(agent.bundle_folder(home, job)) as folder:
        result = compile_bundle(
            Bundle.open(folder),
            images=_pictures(home, job),
            progress=PlainProgress(),
            **job["options"],
        )
        sha256 = sha256_of(folder / MANIFEST_FILE)
        target = agent.bundle_folder(home, {"bundle": sha256})
        said = _document(home, result, result.bundle, job) | {"compiled": sha256}
        if not target.exists():
            folder.rename(target)
        return said


def _deploy(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    """Verifies a bundle that lies here, and makes it current only if it holds."""
    from edgevit.workflows.verify import verify

    slot, sha256 = Slot(home, job["slot"]), str(job["bundle"])
    folder = agent.bundle_folder(home, job)
    with slot.lock():
        before = slot.current
        services: list[ServiceOfSlot] = []
        if before != sha256 or job["force"]:
            try:
                verify(Bundle.open(folder, check_hashes=True), progress=PlainProgress()).require()
            except DamagedError as error:
                if before != sha256:
                    shutil.rmtree(folder, ignore_errors=True)  # so that it is sent anew
                raise DamagedError(f"{_stays(slot)} {error}") from error
            except CheckFailedError as error:
                raise CheckFailedError(f"{_stays(slot)} {error}") from error
            slot.switch(Version(sha256, str(job["name"]), _now()))
            services = after_switch(slot.link, job["restart_service"])
        in_use = bundles_of_others(home, slot) | agent.bundles_of_runs(home)
        removed = slot.prune(int(job["keep"]), in_use)
    return _slot_state(slot, services) | {"before": before, "removed": removed}


def _roll_back(home: Path, job: dict[str, Any]) -> dict[str, Any]:
    slot = Slot(home, job["slot"])
    with slot.lock():
        before = slot.current
        slot.roll_back()
        services = after_switch(slot.link, job["restart_service"])
    return _slot_state(slot, services) | {"before": before, "removed": []}


def _slot_state(slot: Slot, services: list[ServiceOfSlot]) -> dict[str, Any]:
    return {
        "current": slot.current,
        "path": str(slot.link.absolute()),
        "versions": [asdict(version) for version in slot.versions()],
        "services": [asdict(service) for service in services],
    }


def _stays(slot: Slot) -> str:
    if slot.current is None:
        return "Nothing was deployed."
    named = {version.sha256: version.model for version in slot.versions()}
    return f"'current' stays at {named.get(slot.current, 'a bundle')} {slot.current[:12]}."


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _pictures(home: Path, job: dict[str, Any]) -> Path | None:
    """The folder of the set that was sent with the job."""
    if "set" not in job:
        return None
    return set_folder(home, job["set"]) / str(job["set_name"])


@contextmanager
def _copy_of(folder: Path) -> Iterator[Path]:
    """Links to the files of a bundle, which an edit replaces and never changes."""
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".work-") as scratch:
        copy = Path(scratch) / "model.edgevit"
        shutil.copytree(folder, copy, copy_function=os.link)
        yield copy


def _document(home: Path, result: Result, bundle: Bundle, job: dict[str, Any]) -> dict[str, Any]:
    """For programs and for people, who know bundle and pictures by their names at their place."""
    text = str(result).replace(str(bundle.path), str(job["name"]))
    if "set" in job:
        text = text.replace(f"{set_folder(home, job['set'])}/", "")
    return {"document": result.to_dict(), "text": text}


WORK: dict[str, Callable[[Path, dict[str, Any]], dict[str, Any]]] = {
    "verify": _verify,
    "eval": _evaluate,
    "compile": _compile,
    "deploy": _deploy,
    "rollback": _roll_back,
}


if __name__ == "__main__":
    main()
