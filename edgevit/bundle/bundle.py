"""The bundle: a folder ``NAME.edgevit/`` that holds a model and all that is known about it.

manifest.json          what this is, how to feed it, what was checked, a hash of every file
model.onnx             the float model; later variants are model.<variant>.onnx
model.<variant>.*      what ``edgevit compile`` made of one of them for a runtime or a machine
superpixels.onnx       picture to superpixel map, by the model's own op (superpixel models)
    reference.npz          real pictures and the torch model's answers, to verify without torch
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.bundle.reports import check_options, check_parity, check_report
from edgevit.common.errors import BundleError, DamagedError, InputError
from edgevit.common.files import folder_written_aside, sha256_of, write_atomically
from edgevit.common.typed import from_plain
from edgevit.common.untrusted.bounded import read_text
from edgevit.common.untrusted.npz import read_npz
from edgevit.inference.runner import Array
from edgevit.zoo.spec import LOGITS, Preprocess, TensorSpec

# 2: variants say their target and report, and which is chosen where. 3: how one was compiled, and
# what was measured on which machine.
SCHEMA = 3
_MOST_MANIFEST_BYTES, _MOST_REFERENCE_BYTES = 64 << 20, 1 << 30
_AGAIN = "Export the bundle again."
MANIFEST_FILE = "manifest.json"
REFERENCE_FILE = "reference.npz"
RUNTIMES = ("onnxruntime", "openvino", "tensorrt")
SUPERPIXEL_FILE = "superpixels.onnx"
FLOAT_VARIANT = "float"


def variant_file(variant: str, suffix: str = "onnx") -> str:
    """``model.onnx`` for the float model, ``model.<variant>.onnx`` for the others."""
    return f"model.{suffix}" if variant == FLOAT_VARIANT else f"model.{variant}.{suffix}"


@dataclass(frozen=True)
class ModelInfo:
    """Which model, of which weights. ``macs`` are for one image."""

    name: str
    family: str
    parameters: int
    macs: int
    trained: bool
    weights: str
    weights_sha256: str | None
    spec: Mapping[str, Any]
    notes: Mapping[str, str]


@dataclass(frozen=True)
class Build:
    """How a variant was compiled. What it is kept by: while none of this changes, it is fresh.

    source, source_sha256: the variant that it was compiled from, and the hash of its file.
    built_for: what must be so where it is opened, such as ``{"runtime": "onnxruntime 1.31.1"}``;
        empty for a file that opens anywhere.
    options: how it was compiled and how it is opened, in the words of ``edgevit compile``.
    facts: what is worth knowing and decides nothing: seconds, agreement with the float reference.
    inspection: the file that lists an engine's layers; None where there is none.
    """

    source: str
    source_sha256: str
    built_for: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    inspection: str | None = None


@dataclass(frozen=True)
class Variant:
    """One form of the model. ``weights_stored_as`` is what the file holds, not what is computed.

    runtime: what reads the file: ``onnxruntime``, ``openvino`` or ``tensorrt``.
    target: the kind of machine it was quantized for; None: any.
    report: how it was calibrated, its accuracy and, where measured, its speed.
    build: how it was compiled; None for what export and quantize wrote.
    """

    file: str
    precision: str
    weights_stored_as: str
    runtime: str = "onnxruntime"
    target: str | None = None
    report: Mapping[str, Any] = field(default_factory=dict)
    build: Build | None = None

    def check(self, where: str) -> None:
        """Raises ValueError for an unknown runtime, a report or options that cannot be used."""
        if self.runtime not in RUNTIMES:
            raise ValueError(
                f"{where}.runtime is an unknown runtime {self.runtime!r}, expected one of "
                f"{', '.join(RUNTIMES)}"
            )
        check_report(self.report, f"{where}.report")
        if self.build is not None:
            check_options(self.build.options, f"{where}.build.options")

    @property
    def files(self) -> set[str]:
        """Names of the files that go when it goes."""
        inspection = self.build.inspection if self.build else None
        return {self.file, *([inspection] if inspection else [])}


@dataclass(frozen=True)
class MachineChoice:
    """What ``edgevit compile --target auto`` found on one machine.

    variant: the fastest that passed. table: a row for every candidate, those that could not be
    tried too, with the reason.
    """

    variant: str
    threads: int
    table: tuple[Mapping[str, Any], ...]
    measured: str


@dataclass(frozen=True)
class FileFact:
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """``manifest.json``.

    parity: the report of the check that ended the export.
    chosen: the variant to use, by target; the float one where there is none.
    machines: what was measured to be best on single machines, by their label; it goes before
        ``chosen``.
    superpixel_map: the file that gives the superpixels of a picture, int32 [B, rows, columns], or
        None for a model without superpixels.
    """

    model: ModelInfo
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocess: Preprocess
    classes: tuple[str, ...]
    variants: Mapping[str, Variant]
    versions: Mapping[str, str]
    parity: Mapping[str, Any]
    superpixel_map: str | None
    created: str
    chosen: Mapping[str, str] = field(default_factory=dict)
    machines: Mapping[str, MachineChoice] = field(default_factory=dict)
    files: Mapping[str, FileFact] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, source: Path) -> Manifest:
        """Parses and checks.

        Raises:
            BundleError: not JSON, of a newer schema, or with parts missing or of the wrong kind.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{source} is not JSON ({error}). {_AGAIN}") from error
        schema = content.get("schema") if isinstance(content, dict) else None
        if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
            raise BundleError(f"{source} has no schema number. {_AGAIN}")
        if schema > SCHEMA:
            raise BundleError(
                f"{source} has schema {schema}; this edgevit reads up to {SCHEMA}. "
                "Upgrade: pip install --upgrade edgevit."
            )
        try:
            manifest = from_plain(cls, content, "the manifest")
            manifest.check()
        except ValueError as error:
            raise BundleError(
                f"{source}: the manifest is damaged, incomplete or malformed: {error}. {_AGAIN}"
            ) from error
        return manifest

    def check(self) -> None:
        """Whether the parts fit each other; raises ValueError where they do not."""
        size, classes = self.preprocess.size_px, len(self.classes)
        picture = self.inputs[0] if self.inputs else None
        if picture is None or picture.shape[1:] != (size, size, 3):
            raise ValueError(f"the input {picture} does not take pictures of {size} px")
        logits = next((o for o in self.outputs if o.name == LOGITS), None)
        if logits is None or logits.shape[1:] != (classes,):
            raise ValueError(f"the output {logits} does not fit {classes} classes")
        if not self.variants:
            raise ValueError("it has no variant of the model")
        chosen = {*self.chosen.values(), *(choice.variant for choice in self.machines.values())}
        if absent := chosen - set(self.variants):
            raise ValueError(f"a variant is chosen that is not there: {', '.join(sorted(absent))}")
        self._check_file_names()
        for name, report in self.parity.items():
            check_parity(report, f"parity.{name}")
        for name, variant in self.variants.items():
            variant.check(f"variants.{name}")

    def _check_file_names(self) -> None:
        for name in self.used_files():
            if Path(name).name != name:
                raise ValueError(f"it names a file outside the bundle: {name}")
            if name not in self.files:
                raise ValueError(f"{name} is used but has no hash listed")

    def used_files(self) -> list[str]:
        """Names of all files of the bundle but the manifest itself."""
        maps = [self.superpixel_map] if self.superpixel_map else []
        used = [file for variant in self.variants.values() for file in variant.files]
        return sorted({*self.files, *used, *maps, REFERENCE_FILE})


@dataclass(frozen=True)
class Reference:
    """Real pictures, uint8 [n, H, W, 3], and the float model's outputs for them, by name."""

    images: Array
    outputs: Mapping[str, Array]


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: the folder and its checked manifest."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Reads the manifest and checks the hash of every file.

        Raises:
            BundleError: not a bundle, damaged, incomplete, or newer than this edgevit.
        """
        manifest_path = path / MANIFEST_FILE
        if not path.is_dir() or not manifest_path.is_file():
            raise BundleError(
                f"{path} is not a bundle (no {MANIFEST_FILE} in it). "
                "Make one with: edgevit export --model lla_tiny"
            )
        text = read_text(manifest_path, _MOST_MANIFEST_BYTES, MANIFEST_FILE)
        bundle = cls(path, Manifest.from_json(text, manifest_path))
        bundle._check_files()
        return bundle

    def _check_files(self) -> None:
        for name, fact in self.manifest.files.items():
            file = self.path / name
            if not file.is_file():
                raise BundleError(f"{self.path}: {name} is missing. Export or copy it again.")
            if file.stat().st_size != fact.bytes or sha256_of(file) != fact.sha256:
                raise BundleError(
                    f"{self.path}: {name} was changed after export (its SHA-256 is not the "
                    "manifest's). Export or copy the bundle again."
                )

    def variant(self, name: str = FLOAT_VARIANT) -> Path:
        """The model file of a variant.

        Raises:
            BundleError: the bundle does not have it; those it has are named.
        """
        variants = self.manifest.variants
        if name not in variants:
            raise BundleError(
                f"{self.path} has no variant '{name}'; it has {', '.join(sorted(variants))}."
            )
        return self.path / variants[name].file

    def chosen(self, target: str, machine: str | None = None) -> str:
        """The name of the variant to use on a machine, by its label, or on a kind of machine."""
        manifest = self.manifest
        if machine is not None and machine in manifest.machines:
            return manifest.machines[machine].variant
        return manifest.chosen.get(target, FLOAT_VARIANT)

    def superpixel_map(self) -> Path:
        """The model file that gives a picture's superpixels.

        Raises:
            BundleError: the model has none.
        """
        if self.manifest.superpixel_map is None:
            raise BundleError(f"{self.path}: {self.manifest.model.name} has no superpixels.")
        return self.path / self.manifest.superpixel_map

    def reference(self) -> Reference:
        """Reads ``reference.npz``.

        Raises:
            DamagedError: it cannot be read, or does not fit the model of the manifest.
        """
        file = self.path / REFERENCE_FILE
        try:
            reference = _read_reference(file)
            self._check_reference(reference)
        except (ValueError, KeyError, InputError) as error:
            raise DamagedError(f"{file} is damaged ({error}). {_AGAIN}") from error
        return reference

    def _check_reference(self, reference: Reference) -> None:
        """Raises ValueError or KeyError for what is not as :class:`Reference` says."""
        size, classes = self.manifest.preprocess.size_px, len(self.manifest.classes)
        images, logits = reference.images, reference.outputs[LOGITS]
        if images.dtype != np.uint8 or not len(images) or images.shape[1:] != (size, size, 3):
            raise ValueError(f"pictures {images.dtype}{list(images.shape)}")
        if logits.dtype.kind != "f" or logits.shape != (len(images), classes):
            raise ValueError(f"logits {logits.dtype}{list(logits.shape)}")


def _read_reference(file: Path) -> Reference:
    arrays = read_npz(file, _MOST_REFERENCE_BYTES)
    outputs = {k.removeprefix("output."): array for k, array in arrays.items() if "." in k}
    return Reference(arrays["images"], outputs)


def write_reference(folder: Path, reference: Reference) -> None:
    """Writes ``reference.npz``."""
    arrays: dict[str, Any] = {f"output.{n}": array for n, array in reference.outputs.items()}
    np.savez_compressed(folder / REFERENCE_FILE, images=reference.images, **arrays)


def refuse_unwritable(bundle: Bundle) -> None:
    """Raises InputError, before the work, for a bundle that could not be replaced after it."""
    if bundle.path.is_symlink() or not os.access(bundle.path.resolve().parent, os.W_OK):
        raise InputError(
            f"{bundle.path} cannot be replaced: it is a link, or its folder is not yours to write "
            "to. Copy the bundle to a folder of yours, and give the copy."
        )


def drop_variants(bundle: Bundle, names: set[str]) -> Bundle:
    """Writes a bundle anew, whole or not at all: its manifest as given, without some variants."""
    manifest = bundle.manifest
    kept = {name: variant for name, variant in manifest.variants.items() if name not in names}
    return rewrite(bundle, without_choices(replace(manifest, variants=kept), names))


def without_choices(manifest: Manifest, names: set[str]) -> Manifest:
    """No target and no machine chooses one of these variants any more."""
    chosen = {k: v for k, v in manifest.chosen.items() if v not in names}
    machines = {k: v for k, v in manifest.machines.items() if v.variant not in names}
    return replace(manifest, chosen=chosen, machines=machines)


def rewrite(
    bundle: Bundle, manifest: Manifest, add: Callable[[Path], object] | None = None
) -> Bundle:
    """Writes a bundle anew with another manifest, whole or not at all.

    Files that only a variant used which the new manifest no longer has are left out.

    Args:
        add: writes the files of new variants into a folder.
    """
    with folder_written_aside(bundle.path, True, MANIFEST_FILE) as folder:
        copy_files(bundle, folder, set(bundle.manifest.variants) - set(manifest.variants))
        if add is not None:
            add(folder)
        seal(folder, replace(manifest, schema=SCHEMA))
    return Bundle.open(bundle.path)


def copy_files(bundle: Bundle, folder: Path, without: set[str]) -> None:
    """Copies all files of a bundle but the manifest, and those of some variants."""
    variants = bundle.manifest.variants
    left_out = {file for name in without for file in variants[name].files}
    for file in set(bundle.manifest.used_files()) - left_out:
        shutil.copy2(bundle.path / file, folder / file)


def write_manifest(bundle: Bundle, manifest: Manifest) -> Bundle:
    """Replaces the manifest of a bundle whose files stay as they are."""
    text = replace(manifest, schema=SCHEMA).to_json()
    target = bundle.path / MANIFEST_FILE
    write_atomically(target, lambda aside: aside.write_text(text, encoding="utf-8"))
    return Bundle.open(bundle.path)


def seal(folder: Path, manifest: Manifest) -> None:
    """Hashes every file of a folder and writes the manifest last."""
    facts = {
        file.name: FileFact(sha256_of(file), file.stat().st_size)
        for file in sorted(folder.iterdir())
        if file.name != MANIFEST_FILE
    }
    sealed = replace(manifest, files=facts)
    (folder / MANIFEST_FILE).write_text(sealed.to_json(), encoding="utf-8")
