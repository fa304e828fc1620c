"""A bundle that was changed on a device comes back: what is new in it, checked by its hashes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from edgevit.bundle.bundle import MANIFEST_FILE, Bundle
from edgevit.bundle.edit import take_over
from edgevit.bundle.manifest import Manifest
from edgevit.common.errors import DeviceError
from edgevit.common.progress import Progress
from edgevit.common.storage.hashes import sha256_of
from edgevit_runtimes.remote import protocol
from edgevit_runtimes.remote.calls import conversation, refuse_error
from edgevit_runtimes.remote.ssh import Ssh
from edgevit_runtimes.remote.transfer.receive_file import receive_file

_HASH = re.compile(r"[0-9a-f]{64}")
_MOST_MANIFEST_BYTES = 64 << 20


def fetch_bundle(ssh: Ssh, sha256: str, bundle: Bundle, progress: Progress) -> None:
    """Makes the bundle here what it became there; files that it has already are not sent.

    Args:
        sha256: of the manifest there.

    Raises:
        DeviceError: what the device sends is not what it announced.
        BundleError: the bundle here was changed meanwhile.
    """
    if not _HASH.fullmatch(sha256):
        raise DeviceError(f"{ssh.device.host} sent what is no result of edgevit.")
    if sha256 == bundle.manifest_sha256:
        return
    with take_over(bundle) as folder:
        manifest = _manifest(ssh, sha256, folder)
        ours = bundle.manifest.files
        new = [name for name, fact in manifest.files.items() if ours.get(name) != fact]
        label = f"fetch {len(new)} files of {bundle.path.name}"
        with progress.working(label):
            _receive(ssh, sha256, {name: manifest.files[name].bytes for name in new}, folder)
        for name in new:
            if sha256_of(folder / name) != manifest.files[name].sha256:
                raise DeviceError(f"{ssh.device.host}: {name} arrived changed. Try again.")


def _manifest(ssh: Ssh, sha256: str, folder: Path) -> Manifest:
    _receive(ssh, sha256, {MANIFEST_FILE: None}, folder)
    file = folder / MANIFEST_FILE
    if sha256_of(file) != sha256:
        raise DeviceError(f"{ssh.device.host}: the manifest arrived changed. Try again.")
    return Manifest.from_json(file.read_text(encoding="utf-8"), file)


def _receive(ssh: Ssh, sha256: str, expected: Mapping[str, int | None], folder: Path) -> None:
    """Files by name and size in bytes; None for the manifest, which has a limit instead."""
    host = ssh.device.host
    job = {"verb": "fetch", "bundle": sha256, "files": list(expected)}
    with conversation(ssh, job) as running:
        running.end_input()
        answers = protocol.messages(running, host)
        first = next(answers, {})
        refuse_error(first, host)
        sizes = first.get("sizes")
        if not isinstance(sizes, list) or not _are_expected(sizes, expected):
            raise DeviceError(f"{host} announced other files than the manifest has.")
        for name, size in zip(expected, sizes, strict=True):
            receive_file(running, folder / name, size)
        for last in answers:
            refuse_error(last, host)


def _are_expected(sizes: list[object], expected: Mapping[str, int | None]) -> bool:
    if len(sizes) != len(expected):
        return False
    return all(
        isinstance(size, int) and 0 <= size <= _MOST_MANIFEST_BYTES
        if wanted is None
        else size == wanted
        for size, wanted in zip(sizes, expected.values(), strict=True)
    )
