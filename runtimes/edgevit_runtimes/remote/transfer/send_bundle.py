"""A bundle on its way to a device, once: it lies there under its hash."""

from __future__ import annotations

from pathlib import Path

from edgevit.bundle.bundle import MANIFEST_FILE, Bundle
from edgevit.common.errors import DeviceError
from edgevit.common.progress import Advance, Progress
from edgevit.common.untrusted.sanitize import harmless
from edgevit_runtimes.remote import protocol
from edgevit_runtimes.remote.calls import conversation, required
from edgevit_runtimes.remote.running import Running
from edgevit_runtimes.remote.ssh import Ssh

_CHUNK_BYTES = 1 << 18
_SPARE_MIB = 16


def send_bundle(
    ssh: Ssh, bundle: Bundle, sha256: str, free_mib: object, progress: Progress
) -> None:
    """Sends every file; the device checks them all before it takes them in.

    Args:
        sha256: of the manifest, which has the hashes of the files.
        free_mib: what the device says is free there.

    Raises:
        DeviceError: too little room, or the device refuses what arrived.
    """
    names = [MANIFEST_FILE, *bundle.manifest.used_files()]
    files = [(name, (bundle.path / name).stat().st_size) for name in names]
    total = sum(size for _, size in files)
    _refuse_full(ssh.device.host, free_mib, total)
    job = {"verb": "store", "bundle": sha256, "files": files}
    with (
        progress.bar(f"send {bundle.path.name}", total) as advance,
        conversation(ssh, job) as running,
    ):
        all(pour(bundle.path / name, running, advance) for name in names)
        running.end_input()
        answers = list(protocol.messages(running, ssh.device.host))
    required(answers[-1] if answers else None, ssh.device.host)


def _refuse_full(host: str, free_mib: object, total: int) -> None:
    needed = (total >> 20) + _SPARE_MIB
    if not isinstance(free_mib, int) or free_mib < needed:
        raise DeviceError(
            f"{host} has {harmless(str(free_mib))} MiB free; sending the bundle needs {needed}. "
            "Make room there."
        )


def pour(file: Path, running: Running, advance: Advance) -> bool:
    """Sends a file; False if the device ended early, and its answer or exit code says why."""
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            if not running.write(chunk):
                return False
            advance(len(chunk))
    return True
