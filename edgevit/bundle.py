"""The bundle: a folder ``NAME.edgevit/`` that holds a model and all that is known about it.

manifest.json          what this is, how to feed it, what was checked, a hash of every file
model.onnx             the float model; later variants are model.<variant>.onnx
superpixels.onnx       picture to superpixel map, by the model's own op (superpixel models)
    reference.npz          real pictures and the torch model's answers, to verify without torch
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from edgevit.errors import BundleError
from edgevit.files import sha256_of
from edgevit.runner import Array
from edgevit.spec import Preprocess, TensorSpec

SCHEMA = 1
MANIFEST_FILE = "manifest.json"
REFERENCE_FILE = "reference.npz"
SUPERPIXEL_FILE = "superpixels.onnx"
FLOAT_VARIANT = "float"


def variant_file(variant: str) -> str:
    """``model.onnx`` for the float model, ``model.<variant>.onnx`` for the others."""
    return "model.onnx" if variant == FLOAT_VARIANT else f"model.{variant}.onnx"


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
class Variant:
    """One form of the model. ``weights_stored_as`` is what the file holds, not what is computed."""

    file: str
    precision: str
    weights_stored_as: str


@dataclass(frozen=True)
class FileFact:
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """``manifest.json``.

    parity: the report of the check that ended the export.
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
        except ValueError as error:
            raise BundleError(
                f"{source} is not JSON ({error}). Export the bundle again."
            ) from error
        schema = content.get("schema") if isinstance(content, dict) else None
        if not isinstance(schema, int):
            raise BundleError(f"{source} has no schema number. Export the bundle again.")
        if schema > SCHEMA:
            raise BundleError(
                f"{source} has schema {schema}; this edgevit reads up to {SCHEMA}. "
                "Upgrade: pip install --upgrade edgevit."
            )
        try:
            return cls._from_content(content)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise BundleError(
                f"{source} is incomplete or malformed ({error}). Export the bundle again."
            ) from error

    @classmethod
    def _from_content(cls, content: dict[str, Any]) -> Manifest:
        preprocess = dict(content["preprocess"])
        preprocess["mean"] = tuple(preprocess["mean"])
        preprocess["std"] = tuple(preprocess["std"])
        return cls(
            model=ModelInfo(**content["model"]),
            inputs=_tensor_specs(content["inputs"]),
            outputs=_tensor_specs(content["outputs"]),
            preprocess=Preprocess(**preprocess),
            classes=tuple(content["classes"]),
            variants={name: Variant(**v) for name, v in content["variants"].items()},
            versions=content["versions"],
            parity=content["parity"],
            superpixel_map=content["superpixel_map"],
            created=content["created"],
            files={name: FileFact(**fact) for name, fact in content["files"].items()},
            schema=content["schema"],
        )


def _tensor_specs(content: list[dict[str, Any]]) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(c["name"], c["dtype"], tuple(c["shape"])) for c in content)


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
        text = manifest_path.read_text(encoding="utf-8", errors="replace")
        bundle = cls(path, Manifest.from_json(text, manifest_path))
        bundle._check_files()
        return bundle

    def _check_files(self) -> None:
        listed = self.manifest.files
        used = [variant.file for variant in self.manifest.variants.values()]
        if self.manifest.superpixel_map:
            used.append(self.manifest.superpixel_map)
        for name in used:
            if name not in listed:
                raise BundleError(f"{self.path}: {name} is used but has no hash listed.")
        for name, fact in listed.items():
            if Path(name).name != name:
                raise BundleError(f"{self.path}: the manifest names a file outside it: {name}.")
            file = self.path / name
            if not file.is_file():
                raise BundleError(f"{self.path}: {name} is missing. Export or copy it again.")
            if sha256_of(file) != fact.sha256:
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

    def superpixel_map(self) -> Path:
        """The model file that gives a picture's superpixels.

        Raises:
            BundleError: the model has none.
        """
        if self.manifest.superpixel_map is None:
            raise BundleError(f"{self.path}: {self.manifest.model.name} has no superpixels.")
        return self.path / self.manifest.superpixel_map

    def reference(self) -> Reference:
        with np.load(self.path / REFERENCE_FILE, allow_pickle=False) as arrays:
            outputs = {k.removeprefix("output."): arrays[k] for k in arrays.files if "." in k}
            return Reference(cast(Array, arrays["images"]), outputs)


def write_reference(folder: Path, reference: Reference) -> None:
    """Writes ``reference.npz``."""
    arrays: dict[str, Any] = {f"output.{n}": array for n, array in reference.outputs.items()}
    np.savez_compressed(folder / REFERENCE_FILE, images=reference.images, **arrays)


def seal(folder: Path, manifest: Manifest) -> None:
    """Hashes every file of a folder and writes the manifest last."""
    facts = {
        file.name: FileFact(sha256_of(file), file.stat().st_size)
        for file in sorted(folder.iterdir())
        if file.name != MANIFEST_FILE
    }
    sealed = replace(manifest, files=facts)
    (folder / MANIFEST_FILE).write_text(sealed.to_json(), encoding="utf-8")
