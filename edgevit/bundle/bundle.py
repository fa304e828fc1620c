"""The bundle: a folder ``NAME.edgevit/`` that holds a model and all that is known about it.

manifest.json          what this is, how to feed it, what was checked, a hash of every file
model.onnx             the float model; later variants are model.<variant>.onnx
model.<variant>.*      what ``edgevit compile`` made of one of them for a runtime or a machine
superpixels.onnx       picture to superpixel map, by the model's own op (superpixel models)
reference.npz          real pictures and the torch model's answers, to verify without torch

A file is checked against its hash when it is asked for, so that a damaged one is in nobody's way
but of those who want it. :mod:`edgevit.bundle.edit` is the one way to change a bundle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from edgevit.bundle.manifest import (
    FLOAT_VARIANT,
    MANIFEST_FILE,
    REFERENCE_FILE,
    RUNTIMES,
    SCHEMA,
    SUPERPIXEL_FILE,
    Build,
    FileFact,
    MachineChoice,
    Manifest,
    ModelInfo,
    Variant,
    variant_file,
)
from edgevit.bundle.variant_names import compile_options, current_name
from edgevit.common.errors import BundleError, DamagedError
from edgevit.common.storage.files import resolved
from edgevit.common.storage.folders import recover
from edgevit.common.storage.hashes import checked_sha256
from edgevit.common.untrusted.bounded import read_text

if TYPE_CHECKING:
    from edgevit.bundle.reference import Reference

_MOST_MANIFEST_BYTES = 64 << 20
ONNX_SUFFIX = ".onnx"
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt")

__all__ = [
    "FLOAT_VARIANT",
    "MANIFEST_FILE",
    "REFERENCE_FILE",
    "RUNTIMES",
    "SCHEMA",
    "SUPERPIXEL_FILE",
    "Build",
    "Bundle",
    "FileFact",
    "MachineChoice",
    "Manifest",
    "ModelInfo",
    "Variant",
    "variant_file",
]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: the folder and its checked manifest.

    fresh_hashes: whether files are hashed whenever they are asked for, even those whose hash is
        remembered (:mod:`edgevit.common.storage.hashes`).
    manifest_sha256: of the manifest's text when it was read, by which trust in a bundle goes
        (:mod:`edgevit.bundle.trust`); empty for one that was not read from a file.
    """

    path: Path
    manifest: Manifest
    fresh_hashes: bool = field(default=False, compare=False)
    manifest_sha256: str = field(default="", compare=False)

    @classmethod
    def open(cls, path: Path, check_hashes: bool = False) -> Bundle:
        """Reads the manifest. Files are checked when they are asked for.

        Args:
            check_hashes: hash every file now, and again whenever it is asked for.

        Raises:
            BundleError: not a bundle, or newer than this edgevit.
            DamagedError: with ``check_hashes``, a file is missing or was changed.
        """
        if path.name in ("", ".."):  # recovery looks beside it, by its name
            path = resolved(path)
        recover(path)
        manifest_path = path / MANIFEST_FILE
        if not path.is_dir() or not manifest_path.is_file():
            raise BundleError(_not_a_bundle(path))
        text = read_text(manifest_path, _MOST_MANIFEST_BYTES, MANIFEST_FILE)
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        bundle = cls(path, Manifest.from_json(text, manifest_path), check_hashes, sha256)
        if check_hashes:
            for name in bundle.manifest.files:
                bundle.file(name)
        return bundle

    def file(self, name: str) -> Path:
        """A file of the bundle, checked against its hash in the manifest.

        Raises:
            DamagedError: it is missing, or is not the file that the manifest tells of.
        """
        file = self.path / name
        if (reason := self.damage(name)) is not None:
            raise DamagedError(
                f"{self.path}: {name} {reason}. Export or copy the bundle again, or drop what is "
                f"damaged with: edgevit verify {quote(str(self.path))} --repair"
            )
        return file

    def damage(self, name: str) -> str | None:
        """What is wrong with a file, as the end of a sentence; None if nothing is."""
        file = self.path / name
        if not file.is_file():
            return "is missing"
        if file.stat().st_size != self.manifest.files[name].bytes:
            return "was changed after export (its size is not the manifest's)"
        if checked_sha256(file, self.fresh_hashes) != self.manifest.files[name].sha256:
            return "was changed after export (its SHA-256 is not the manifest's)"
        return None

    def variant(self, name: str = FLOAT_VARIANT) -> Path:
        """The model file of a variant, checked.

        Raises:
            BundleError: the bundle does not have it; those it has are named.
            DamagedError: its file is missing or was changed.
        """
        return self.file(self.entry(name).file)

    def entry(self, name: str) -> Variant:
        """What the manifest says of a variant.

        Raises:
            BundleError: the bundle does not have it; those it has are named.
        """
        variants, name = self.manifest.variants, current_name(name)
        if name not in variants:
            options = compile_options(name)
            make = f" Make it with: edgevit compile {quote(str(self.path))} {options}"
            raise BundleError(
                f"{self.path} has no variant '{name}'; it has {', '.join(sorted(variants))}."
                f"{make if options else ''}"
            )
        return variants[name]

    def sha256(self, variant: str = FLOAT_VARIANT) -> str:
        """The hash of a variant's file, as the manifest says."""
        return self.manifest.files[self.entry(variant).file].sha256

    def chosen(self, targets: Sequence[str], machine: str | None = None) -> str:
        """The name of the variant to use on a machine.

        Args:
            targets: what the machine is a target of, the one to prefer first.
            machine: its label; what was measured on it goes before what is chosen for a target.
        """
        manifest = self.manifest
        if machine is not None and machine in manifest.machines:
            return manifest.machines[machine].variant
        found = (manifest.chosen[target] for target in targets if target in manifest.chosen)
        return next(found, FLOAT_VARIANT)

    def superpixel_map(self) -> Path:
        """The model file that gives a picture's superpixels, checked.

        Raises:
            BundleError: the model has none, or it is damaged.
        """
        if self.manifest.superpixel_map is None:
            raise BundleError(f"{self.path}: {self.manifest.model.name} has no superpixels.")
        return self.file(self.manifest.superpixel_map)

    def reference(self) -> Reference:
        """Reads ``reference.npz``.

        Raises:
            DamagedError: it cannot be read, or does not fit the model of the manifest.
        """
        from edgevit.bundle.reference import read_reference  # and with it zipfile, for few commands

        return read_reference(self.file(REFERENCE_FILE), self.manifest)


def is_onnx_file(path: Path) -> bool:
    """By its suffix: what somebody takes for a bundle."""
    return path.suffix.lower() == ONNX_SUFFIX


def _not_a_bundle(path: Path) -> str:
    """What it is instead, and what to do."""
    if (path.parent / MANIFEST_FILE).is_file() and path.is_file():
        return f"{path} is a file of a bundle. Give the bundle: {quote(str(path.parent))}"
    named = quote(str(path))
    if not path.is_file():
        return _no_bundle_there(path)
    if is_onnx_file(path):
        return (
            f"{path} is an ONNX model, not a bundle; import it with: edgevit import {named} "
            "--classes FILE"
        )
    if path.suffix.lower() in WEIGHT_SUFFIXES:
        return (
            f"{path} is a file of weights, not a bundle. Make one with: edgevit export "
            f"--checkpoint {named}"
        )
    return f"{path} is not a bundle but a file; a bundle is a folder. {_make_one()}"


def _no_bundle_there(path: Path) -> str:
    from edgevit.zoo.registry import is_model_name

    if is_model_name(path.name) and not path.exists():
        return (
            f"{path} is not a bundle: '{path.name}' is the name of a model. Make a bundle of it "
            f"with: edgevit export --model {path.name}; then give the folder that this makes."
        )
    why = f"no {MANIFEST_FILE} in it" if path.exists() else "nothing is there"
    return f"{path} is not a bundle ({why}). {_make_one()}"


def _make_one() -> str:
    from edgevit.zoo import DEFAULT_MODEL  # what opens a good bundle needs no registry

    return f"Make one with: edgevit export --model {DEFAULT_MODEL}"
