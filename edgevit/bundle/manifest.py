"""``manifest.json``: what a bundle is, how to feed it, what was checked, a hash of every file.

Its version is a major and a minor number, ``schema`` and ``schema_minor``; see
:mod:`edgevit.common.schema`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from edgevit.bundle.reports import (
    AccuracyReport,
    CalibrationReport,
    CompileOptions,
    ConfidenceReport,
    DenseParityReport,
    ParityReport,
    read_report,
)
from edgevit.bundle.variant_names import with_current_names
from edgevit.common.errors import BundleError
from edgevit.common.installation.install_command import upgrade_advice
from edgevit.common.schema import is_newer_minor, plain_json, to_plain, typed
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.interface.tensors import TensorSpec
from edgevit.zoo.tasks import LOGITS, MASK, TASK_OUTPUTS, Task

# 2: variants say their target and report, and which is chosen where. 3: how one was compiled, and
# what was measured on which machine. 3.1: how much of a picture a crop takes. 3.2: the temperature
# of probabilities, and the task.
SCHEMA, SCHEMA_MINOR = 3, 2
_AGAIN = "Export the bundle again."
MANIFEST_FILE = "manifest.json"
REFERENCE_FILE = "reference.npz"
RUNTIMES = ("onnxruntime", "openvino", "tensorrt", "native")
SUPERPIXEL_FILE = "superpixels.onnx"
FLOAT_VARIANT = "float"


def variant_file(variant: str, suffix: str = "onnx") -> str:
    """``model.onnx`` for the float model, ``model.<variant>.onnx`` for the others."""
    return f"model.{suffix}" if variant == FLOAT_VARIANT else f"model.{variant}.{suffix}"


class ModelInfo(Struct, frozen=True):
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


class Build(Struct, frozen=True):
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


class Variant(Struct, frozen=True):
    """One form of the model. ``weights_stored_as`` is what the file holds, not what is computed.

    runtime: what reads the file: ``onnxruntime``, ``openvino``, ``tensorrt`` or ``native``.
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
        self.accuracy(where)
        self.calibration(where)
        if self.build is not None:
            read_report(CompileOptions, self.build.options, f"{where}.build.options")

    def accuracy(self, where: str = "variant") -> AccuracyReport | None:
        """Its accuracy after quantization; None for a form that was not quantized.

        Raises:
            ValueError: the report says too little; ``where`` begins the name of the field.
        """
        return read_report(AccuracyReport, self.report, f"{where}.report") if self.report else None

    def calibration(self, where: str = "variant") -> CalibrationReport | None:
        """How it was calibrated; None for a form that needed no calibration."""
        if not self.report.keys() & {"calibration", "layers"}:
            return None
        return read_report(CalibrationReport, self.report, f"{where}.report")

    @property
    def files(self) -> set[str]:
        """Names of the files that go when it goes."""
        inspection = self.build.inspection if self.build else None
        return {self.file, *([inspection] if inspection else [])}


class MachineChoice(Struct, frozen=True):
    """What ``edgevit compile --target auto`` found on one machine.

    variant: the fastest that passed. table: a row for every candidate, those that could not be
    tried too, with the reason.
    """

    variant: str
    threads: int
    table: tuple[Mapping[str, Any], ...]
    measured: str


class FileFact(Struct, frozen=True):
    sha256: str
    bytes: int


class Manifest(Struct, frozen=True):
    """``manifest.json``.

    task: what the model does with a picture; its outputs are those of
        :data:`edgevit.zoo.tasks.TASK_OUTPUTS`.
    parity: the report of the check that ended the export.
    chosen: the variant to use, by target; the float one where there is none.
    machines: what was measured to be best on single machines, by their label; it goes before
        ``chosen``.
    confidence: how probabilities are calibrated; None where nobody did.
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
    confidence: ConfidenceReport | None = None
    task: Task = "classification"
    schema: int = SCHEMA
    schema_minor: int = 0  # where a file does not say it

    def to_json(self) -> str:
        """As it is written.

        Raises:
            BundleError: a figure is NaN or infinite, which no JSON holds and no reader takes.
        """
        content = to_plain(self)
        if not content["schema_minor"]:
            del content["schema_minor"]
        try:
            return json.dumps(content, indent=2, allow_nan=False) + "\n"
        except ValueError as error:
            raise BundleError(
                "A figure that was to be kept in the manifest is NaN or infinite, so nothing was "
                "written: the model's answers are not finite. Export it again."
            ) from error

    @classmethod
    def from_json(cls, text: str, source: Path) -> Manifest:
        """Parses and checks.

        Raises:
            BundleError: not JSON, of a newer schema, or with parts missing or of the wrong kind.
        """
        try:
            content = plain_json(text)
        except ValueError as error:
            raise BundleError(
                f"{source} is not JSON that can be used ({error}). {_AGAIN}"
            ) from error
        schema = content.get("schema") if isinstance(content, dict) else None
        if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
            raise BundleError(f"{source} has no schema number. {_AGAIN}")
        if schema > SCHEMA:
            raise BundleError(
                f"{source} has schema {schema}; this edgevit reads up to {SCHEMA}. "
                f"{upgrade_advice()}"
            )
        try:
            newer = schema == SCHEMA and is_newer_minor(content, SCHEMA_MINOR)
            manifest = typed(cls, with_current_names(content), unknown_fields=newer)
            manifest.check()
        except ValueError as error:
            raise BundleError(
                f"{source}: the manifest is damaged, incomplete or malformed: {error}. {_AGAIN}"
            ) from error
        return manifest

    def check(self) -> None:
        """Whether the parts fit each other; raises ValueError where they do not."""
        size = self.preprocess.size_px
        picture = self.inputs[0] if self.inputs else None
        if picture is None or picture.shape[1:] != (size, size, 3):
            raise ValueError(f"the input {picture} does not take pictures of {size} px")
        self._check_outputs()
        self.preprocess.check("preprocess")
        if not self.preprocess.normalised_in_graph:
            raise ValueError("preprocess.normalised_in_graph is false, expected true")
        if not self.variants:
            raise ValueError("it has no variant of the model")
        chosen = {*self.chosen.values(), *(choice.variant for choice in self.machines.values())}
        if absent := chosen - set(self.variants):
            raise ValueError(f"a variant is chosen that is not there: {', '.join(sorted(absent))}")
        self._check_file_names()
        for name, report in self.parity.items():
            kind = ParityReport if self.task == "classification" else DenseParityReport
            read_report(kind, report, f"parity.{name}")
        for name, variant in self.variants.items():
            variant.check(f"variants.{name}")

    @property
    def temperature(self) -> float:
        """By what logits are divided before the softmax."""
        return 1.0 if self.confidence is None else self.confidence.temperature

    def measured(self, name: str) -> Variant | None:
        """The variant whose report tells of ``name``: itself, or what it was compiled from.

        None where that is not in the bundle.
        """
        variant = self.variants[name]
        if variant.build is None or variant.report:
            return variant
        return self.variants.get(variant.build.source)

    def _check_outputs(self) -> None:
        by_name = {output.name: output for output in self.outputs}
        size, classes = self.preprocess.size_px, len(self.classes)
        if missing := [name for name in TASK_OUTPUTS[self.task] if name not in by_name]:
            raise ValueError(f"the task is {self.task}, but there is no output {missing[0]}")
        if self.task == "classification" and by_name[LOGITS].shape[1:] != (classes,):
            raise ValueError(f"the output {by_name[LOGITS]} does not fit {classes} classes")
        if self.task == "segmentation" and by_name[MASK].shape[1:] != (size, size):
            raise ValueError(f"the output {by_name[MASK]} does not fit pictures of {size} px")

    def without(self, names: set[str]) -> Manifest:
        """The same without some variants, and without the choices that fell on them."""
        kept = {name: entry for name, entry in self.variants.items() if name not in names}
        return replace(self, variants=kept).without_choices(names)

    def without_choices(self, names: set[str]) -> Manifest:
        """The same, where no target and no machine chooses one of these variants any more."""
        chosen = {k: v for k, v in self.chosen.items() if v not in names}
        machines = {k: v for k, v in self.machines.items() if v.variant not in names}
        return replace(self, chosen=chosen, machines=machines)

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
