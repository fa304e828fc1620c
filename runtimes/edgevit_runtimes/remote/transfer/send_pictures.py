"""The workstation's side of pictures: asks which a device lacks, and sends those."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from edgevit.common.errors import DeviceError
from edgevit.common.progress import Progress
from edgevit.common.storage.hashes import checked_sha256
from edgevit_runtimes.remote import protocol
from edgevit_runtimes.remote.calls import ask, conversation, required
from edgevit_runtimes.remote.ssh import Ssh
from edgevit_runtimes.remote.transfer.send_bundle import pour


def send_pictures(ssh: Ssh, pictures: Mapping[str, Path], progress: Progress) -> str:
    """Brings pictures to a device; those that it has are not sent again.

    Args:
        pictures: a file by its name in the set, such as ``val/cat/1.jpg``.

    Returns:
        The name of the set there.

    Raises:
        InputError: a file cannot be read. DeviceError: the device refuses, or its disk is full.
    """
    files = [(name, checked_sha256(file), file.stat().st_size) for name, file in pictures.items()]
    digest = hashlib.sha256(json.dumps(sorted(files)).encode()).hexdigest()
    job = {"set": digest, "files": files}
    answer = ask(ssh, {"verb": "lacking_pictures", **job})
    if answer.get("has_set") is not True:
        sent = _positions(ssh, answer, len(files))
        paths = list(pictures.values())
        store: dict[str, object] = {"verb": "store_pictures", "sent": sent, **job}
        _send(ssh, store, [paths[i] for i in sent], progress)
    return digest


def _positions(ssh: Ssh, answer: dict[str, object], count: int) -> list[int]:
    """What the device says that it lacks, which has to be positions in the list."""
    said = answer.get("lacking")
    if not isinstance(said, list) or not all(type(i) is int and 0 <= i < count for i in said):
        raise DeviceError(f"{ssh.device.host} did not say which pictures it lacks.")
    return sorted(set(said))


def _send(ssh: Ssh, job: dict[str, object], files: list[Path], progress: Progress) -> None:
    total = sum(file.stat().st_size for file in files)
    label = f"send {len(files)} pictures"
    with progress.bar(label, total) as advance, conversation(ssh, job) as running:
        all(pour(file, running, advance) for file in files)
        running.end_input()
        answers = list(protocol.messages(running, ssh.device.host))
    required(answers[-1] if answers else None, ssh.device.host)
    progress.line(f"{ssh.device.host}: {len(files)} pictures sent, {total / 2**20:.1f} MiB")
