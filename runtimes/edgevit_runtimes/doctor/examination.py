"""What a machine is and what it is ready for: this one, a recorded one, or one over SSH."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import BundleError, DeviceError
from edgevit.common.result import Result
from edgevit.common.tables import Section, Table
from edgevit.common.untrusted.bounded import read_text
from edgevit.common.untrusted.sanitize import harmless
from edgevit.common.version import __version__
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.devices import record
from edgevit_runtimes.devices.advice import advise
from edgevit_runtimes.devices.machine import describe
from edgevit_runtimes.doctor.machine_rows import machine_rows
from edgevit_runtimes.doctor.purposes import purposes
from edgevit_runtimes.remote.calls import ask
from edgevit_runtimes.remote.setup import recording
from edgevit_runtimes.remote.ssh import Ssh

_OWN_FACTS = ("edgevit", "python", "system", "prebuilt_bundle")


@dataclass(frozen=True)
class Examination(Result):
    """What was found, as ``--json`` prints it."""

    found: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return self.found

    def sections(self) -> list[Section]:
        found = self.found
        rows = [(key.replace("_", " "), found[key]) for key in _OWN_FACTS if key in found]
        rows += machine_rows(found["machine"])
        for advice in found["advice"]:
            state = f"{'' if advice['ready'] else 'NO: '}{advice['found']}"
            rows += [(advice["purpose"], state), *_fix(advice)]
        for purpose, state in found.get("purposes", {}).items():
            listed = ", ".join(f"{n} {v or 'MISSING'}" for n, v in state["versions"].items())
            rows += [(purpose, f"ready: {listed}" if state["ready"] else listed), *_fix(state)]
        return [Table("edgevit doctor", ("what", "found"), rows)]


def _fix(state: dict[str, Any]) -> list[tuple[str, str]]:
    return [("  to fix", state["fix"])] if state["fix"] else []


def examine_here() -> Examination:
    """This machine, its Python packages too."""
    return Examination(
        {
            "edgevit": __version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            **_machine_and_advice(Path("/")),
            "purposes": purposes(describe()),
            "prebuilt_bundle": _prebuilt_state(),
        }
    )


def examine_recording(file: Path) -> Examination:
    """A device from its recording; nothing is known of its Python packages.

    Raises:
        InputError: the file is no recording.
    """
    return _unpacked(
        read_text(file, record.MOST_BYTES, "recording made by 'edgevit devices record'")
    )


def examine_over_ssh(ssh: Ssh) -> Examination:
    """A device, from a recording that is made now; it needs no Python there.

    Raises:
        DeviceError: it cannot be reached.
    """
    return _unpacked(recording(ssh))


def check_over_ssh(ssh: Ssh) -> Examination:
    """The same, and whether edgevit is installed there.

    Raises:
        DeviceError: it cannot be reached.
    """
    found = dict(examine_over_ssh(ssh).found)
    try:
        there = ask(ssh, {"verb": "hello", "bundle": "0" * 64})
    except DeviceError as error:
        found["edgevit"] = harmless(str(error))
    else:
        free = harmless(str(there.get("free_mib")))
        found["edgevit"] = f"{harmless(str(there.get('edgevit')))}, {free} MiB free"
    return Examination(found)


def _unpacked(text: str) -> Examination:
    with TemporaryDirectory() as scratch:
        record.unpack(text, Path(scratch))
        return Examination(_machine_and_advice(Path(scratch)))


def _machine_and_advice(root: Path) -> dict[str, Any]:
    machine = describe(root)
    return {
        "machine": asdict(machine),
        "advice": [asdict(advice) for advice in advise(machine, root)],
    }


def _prebuilt_state() -> str:
    try:
        bundle = Bundle.open(PREBUILT_BUNDLE)
    except BundleError as error:
        return f"damaged: {error}"
    return f"{bundle.manifest.model.name}, intact"
