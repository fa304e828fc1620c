"""The one way to write a bundle: locked, re-read, written aside, exchanged whole.

    with edit(bundle) as draft:
        draft.write("model.half.onnx", lambda path: onnx.save(half, path))
        draft.put("half", Variant(...))
    bundle = draft.bundle

Work that takes long is done before the block: in it, nobody else can write the bundle. What is
asked of the bundle in the block is asked of ``draft``, because another process may have changed
the bundle since it was opened.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.manifest import (
    MANIFEST_FILE,
    SCHEMA,
    SCHEMA_MINOR,
    FileFact,
    MachineChoice,
    Manifest,
    Variant,
)
from edgevit.bundle.trust import is_trusted, trust, trust_own
from edgevit.common.errors import BundleError, InputError
from edgevit.common.storage.files import write_atomically
from edgevit.common.storage.folders import (
    folder_written_aside,
    put_in_place,
    why_not_replaceable,
    workspace,
)
from edgevit.common.storage.hashes import known_hashes, remember, sha256_of

WAIT_S = 30.0
_VERSION: Mapping[str, Any] = {"schema": SCHEMA, "schema_minor": SCHEMA_MINOR}


class Draft:
    """A bundle that is being written.

    bundle: as it was found under the lock; after the block, as it is now.
    manifest: what the manifest is to be; its list of files is filled in when the block ends.
    folder: where new files are written.
    """

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        self.bundle = bundle
        self.manifest: Manifest = bundle.manifest
        self.folder = folder

    def write(self, name: str, write: Callable[[Path], object]) -> None:
        """Writes a new file, or one that takes the place of another."""
        write(self.folder / name)

    def put(self, name: str, variant: Variant) -> None:
        """Adds a variant, or replaces it; no choice falls on what was there before."""
        manifest = self.manifest.without_choices({name})
        self.manifest = replace(manifest, variants={**manifest.variants, name: variant})

    def drop(self, names: Iterable[str]) -> None:
        """Leaves variants out, with their files and the choices that fell on them."""
        self.manifest = self.manifest.without(set(names))

    def choose(self, target: str, variant: str) -> None:
        """Makes a variant the one to use on a kind of machine."""
        self.manifest = replace(self.manifest, chosen={**self.manifest.chosen, target: variant})

    def choose_on_machine(self, label: str, choice: MachineChoice) -> None:
        """Makes a variant the one to use on a single machine; it goes before ``choose``."""
        self.manifest = replace(self.manifest, machines={**self.manifest.machines, label: choice})

    def require_same(self, before: Bundle, variants: Iterable[str]) -> None:
        """Refuses to go on if the models that the work was done on are others by now.

        Raises:
            BundleError: another process has replaced or dropped one of them.
        """
        for name in variants:
            here = name in self.bundle.manifest.variants
            if not here or self.bundle.sha256(name) != before.sha256(name):
                raise BundleError(
                    f"{before.path}: another process has {'replaced' if here else 'dropped'} "
                    f"'{name}' since this began. Run the command again."
                )


@contextmanager
def edit(bundle: Bundle, wait_s: float = WAIT_S) -> Iterator[Draft]:
    """Changes a bundle, whole or not at all. Files that stay as they are, are linked, not copied.

    A bundle that the user trusts is trusted afterwards too; no other becomes so.

    Args:
        wait_s: how long to wait for another process that writes the bundle.

    Raises:
        InputError: the bundle cannot be replaced where it is, or another process writes it.
        BundleError: it is no longer a bundle.
    """
    refuse_unwritable(bundle)
    with workspace(bundle.path, wait_s) as folder:
        draft = Draft(Bundle.open(bundle.path), folder)
        trusted = is_trusted(draft.bundle)
        yield draft
        _finish(draft, folder, trusted)
    draft.bundle = Bundle.open(bundle.path)


@contextmanager
def take_over(bundle: Bundle, wait_s: float = WAIT_S) -> Iterator[Path]:
    """Yields an empty folder for a bundle's new manifest and new files; others stay as they are.

    What it becomes was not made here, so it is trusted only if it is trusted by itself.

    Raises:
        InputError: the bundle cannot be replaced where it is, or another process writes it.
        BundleError: another process has changed it since it was opened.
    """
    refuse_unwritable(bundle)
    with workspace(bundle.path, wait_s) as folder:
        found = Bundle.open(bundle.path)
        if found.manifest_sha256 != bundle.manifest_sha256:
            raise BundleError(
                f"{bundle.path}: another process has changed it since this began. Run the command "
                "again."
            )
        yield folder
        manifest = Bundle.open(folder).manifest
        kept = {n: f for n, f in manifest.files.items() if not (folder / n).exists()}
        _write_folder(bundle.path, folder, None, kept)


@contextmanager
def create(path: Path, replace_existing: bool) -> Iterator[Path]:
    """Yields an empty folder that becomes a bundle when :func:`seal` has been called for it.

    The user trusts what was made here.

    Raises:
        InputError: the path exists and may not be replaced, or cannot be written to.
    """
    with folder_written_aside(path, replace_existing, MANIFEST_FILE) as folder:
        yield folder
        if (folder / MANIFEST_FILE).is_file():
            trust(sha256_of(folder / MANIFEST_FILE))


def seal(folder: Path, manifest: Manifest) -> None:
    """Hashes every file of a folder and writes the manifest last."""
    files = sorted(file for file in folder.iterdir() if file.name != MANIFEST_FILE)
    sealed = replace(manifest, **_VERSION, files={file.name: _fact(file) for file in files})
    (folder / MANIFEST_FILE).write_text(sealed.to_json(), encoding="utf-8")


def refuse_unwritable(bundle: Bundle) -> None:
    """Raises InputError, before the work, for a bundle that could not be replaced after it."""
    if reason := why_not_replaceable(bundle.path):
        raise InputError(
            f"{bundle.path} cannot be replaced: {reason}. Copy the bundle to a folder of yours, "
            "and give the copy."
        )


def _finish(draft: Draft, folder: Path, trusted: bool) -> None:
    """Writes what changed: the manifest alone, in its place, or the whole folder."""
    before = draft.bundle.manifest
    new = {file.name: _fact(file) for file in folder.iterdir()}
    gone = _files_of_variants(before) - _files_of_variants(draft.manifest) - set(new)
    kept = {name: fact for name, fact in before.files.items() if name not in {*gone, *new}}
    manifest = replace(draft.manifest, **_VERSION, files=dict(sorted({**kept, **new}.items())))
    manifest.check()
    if manifest == before:
        return
    if trusted:
        trust_own(manifest)
    if not new and not gone:
        _write_manifest(draft.bundle.path, manifest)
        return
    _write_folder(draft.bundle.path, folder, manifest, kept)


def _write_manifest(folder: Path, manifest: Manifest) -> None:
    text = manifest.to_json()
    target = folder / MANIFEST_FILE
    write_atomically(target, lambda aside: aside.write_text(text, encoding="utf-8"))


def _write_folder(
    path: Path, folder: Path, manifest: Manifest | None, kept: dict[str, FileFact]
) -> None:
    """None for the manifest: it is in the folder already."""
    there = [name for name in kept if (path / name).is_file()]  # else it is lost, as it was
    known = known_hashes(path / name for name in there)
    for name in there:
        _link(path / name, folder / name)
    if manifest is not None:
        _write_manifest(folder, manifest)
    shutil.copymode(path, folder)
    put_in_place(folder, path)
    shutil.rmtree(folder, ignore_errors=True)  # what was there before; its links end with it
    remember(known)


def _link(source: Path, target: Path) -> None:
    """A second name of a file; a copy where the file system has none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _fact(file: Path) -> FileFact:
    return FileFact(sha256_of(file), file.stat().st_size)


def _files_of_variants(manifest: Manifest) -> set[str]:
    return {file for variant in manifest.variants.values() for file in variant.files}
