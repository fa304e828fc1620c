"""Which bundles this user trusts: those made here, and those that ``edgevit trust`` named.

A bundle is known by the SHA-256 of its manifest, which holds the hash of every file. So a copy is
trusted as the original is, and a bundle that somebody else altered is not. The hashes stand in the
user's state folder, one a line, the newest last; where there is none, only the shipped bundle is
trusted.
"""

from __future__ import annotations

import hashlib
import re

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.manifest import MANIFEST_FILE, Manifest
from edgevit.common.errors import InputError
from edgevit.common.storage.cache import read_own, writable_state
from edgevit.common.storage.files import write_atomically
from edgevit.common.storage.hashes import sha256_of
from edgevit.common.storage.locks import locked
from edgevit.zoo import PREBUILT_BUNDLE

_FILE = "trusted-bundles"
_MOST = 10_000
_MOST_BYTES = 1 << 20
_HEX = re.compile(r"[0-9a-f]{64}")


def is_trusted(bundle: Bundle) -> bool:
    """Whether this user made the bundle or trusts it, as it was when it was opened."""
    known = bundle.manifest_sha256
    return known in _trusted() or known == sha256_of(PREBUILT_BUNDLE / MANIFEST_FILE)


def trust(manifest_sha256: str) -> bool:
    """Remembers the hash of a manifest; False where nothing can be kept."""
    folder = writable_state()
    if folder is None:
        return False
    file = folder / _FILE
    try:
        with locked(file):
            kept = [*(each for each in _trusted() if each != manifest_sha256), manifest_sha256]
            text = "".join(f"{each}\n" for each in kept[-_MOST:])
            write_atomically(file, lambda aside: aside.write_text(text, encoding="ascii"))
    except (InputError, OSError):
        return False  # a full disk, or another process that holds the lock
    return True


def trust_own(manifest: Manifest) -> None:
    """Remembers a manifest that is about to be written here; it may be that nothing can be kept."""
    trust(hashlib.sha256(manifest.to_json().encode()).hexdigest())


def _trusted() -> list[str]:
    """Hashes, the newest last; none where the file is missing, damaged, or another user's."""
    folder = writable_state()
    if folder is None:
        return []
    try:
        content = read_own(folder / _FILE, _MOST_BYTES) or b""
    except OSError:
        return []
    lines = content.decode("ascii", errors="replace").splitlines()
    return [line for line in lines if _HEX.fullmatch(line)]
