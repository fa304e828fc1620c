"""A place for one deployed model on a device: its versions, and which of them is current.

    bundles/<SHA-256 of the manifest>.edgevit       bundles, each stored once
    deployed/main/current -> ../../bundles/...      what programs open; switched by one rename
    deployed/main/versions.json                     what was deployed, oldest first

``current`` names a whole bundle at every moment, whenever a process or the power fails.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from edgevit.common.errors import InputError
from edgevit.common.schema import plain_json, typed
from edgevit.common.storage.files import flush, write_atomically
from edgevit.common.storage.locks import locked
from edgevit.common.untrusted.bounded import read_text

DEFAULT_SLOT = "main"
WAIT_S = 300.0  # for another deployment, which may send and verify a large bundle
_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,62}")
_MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Version:
    """A bundle that was deployed. sha256: of its manifest. deployed: when, ISO 8601, UTC."""

    sha256: str
    model: str
    deployed: str


class Slot:
    """One deployed model. Everything but ``current`` and ``versions`` wants the lock.

    Raises:
        InputError: the name could mean something else.
    """

    def __init__(self, home: Path, name: str = DEFAULT_SLOT) -> None:
        refuse_slot_name(name)
        self.name = name
        self.folder = home / "deployed" / name
        self.link = self.folder / "current"
        self._bundles = home / "bundles"
        self._file = self.folder / "versions.json"

    @contextmanager
    def lock(self, wait_s: float = WAIT_S) -> Iterator[None]:
        """Keeps other deployments to this slot out.

        Raises:
            InputError: another one does not end within ``wait_s``.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.link, wait_s):
            yield

    @property
    def current(self) -> str | None:
        """The SHA-256 of the bundle that is used; None before the first deployment."""
        if not self.link.is_symlink():
            return None
        return self.link.readlink().name.removesuffix(".edgevit")

    def versions(self) -> tuple[Version, ...]:
        """What was deployed and is kept, oldest first.

        Raises:
            InputError: the list is damaged.
        """
        if not self._file.exists():
            return ()
        try:
            content = plain_json(read_text(self._file, _MOST_BYTES, "list of versions"))
            return typed(tuple[Version, ...], content)
        except ValueError as error:
            raise InputError(f"{self._file} is damaged ({error}). Delete it.") from error

    def switch(self, version: Version) -> None:
        """Makes a bundle current, in one step; it has to be there, whole and verified."""
        others = [each for each in self.versions() if each.sha256 != version.sha256]
        self._write([*others, version])
        self._point_to(version.sha256)

    def roll_back(self) -> Version:
        """Makes the version before the current one current; the later one is no longer listed.

        Raises:
            InputError: there is none before it.
        """
        versions, current = self.versions(), self.current
        position = next((i for i, v in enumerate(versions) if v.sha256 == current), 0)
        if not position:
            raise InputError(f"Slot '{self.name}' has no version before the current one.")
        former = versions[position - 1]
        self._point_to(former.sha256)
        self._write(versions[:position])
        return former

    def prune(self, keep: int, in_use: frozenset[str]) -> list[str]:
        """Deletes the bundles of all but the last versions; gives their SHA-256.

        Args:
            keep: how many versions stay, the current one among them; 1 or more.
            in_use: bundles that other slots or runs need.
        """
        versions = self.versions()
        dropped, kept = versions[:-keep], versions[-keep:]
        if not dropped:
            return []
        self._write(kept)
        names = {v.sha256 for v in dropped} - {v.sha256 for v in kept} - in_use - {self.current}
        for name in sorted(names):
            shutil.rmtree(self._bundles / f"{name}.edgevit", ignore_errors=True)
        return sorted(names)

    def _point_to(self, sha256: str) -> None:
        bundle = self._bundles / f"{sha256}.edgevit"
        aside = self.link.with_name(f".current.{os.getpid()}.link")
        aside.unlink(missing_ok=True)
        aside.symlink_to(os.path.relpath(bundle, self.folder))
        aside.replace(self.link)
        flush(self.folder)

    def _write(self, versions: Sequence[Version]) -> None:
        text = json.dumps([asdict(each) for each in versions], indent=2)
        write_atomically(self._file, lambda aside: aside.write_text(text, encoding="utf-8"))


def refuse_slot_name(name: str) -> None:
    """Raises InputError for a name that could mean something else in a path."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:80]!r} is no name for a slot; use letters, digits, - and _, such as "
            f"{DEFAULT_SLOT}."
        )


def slots(home: Path) -> list[Slot]:
    """All slots of a device."""
    folders = sorted((home / "deployed").glob("*/"))
    return [Slot(home, folder.name) for folder in folders if _NAME.fullmatch(folder.name)]


def bundles_of_others(home: Path, slot: Slot) -> frozenset[str]:
    """Bundles that other slots list or use."""
    others = [each for each in slots(home) if each.name != slot.name]
    listed = {version.sha256 for each in others for version in each.versions()}
    return frozenset({*listed, *(each.current for each in others if each.current)})
