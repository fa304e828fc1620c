"""Compiled variants of a bundle: kept while they are fresh, built anew, with the reason, when not.

A compiled variant is a file of the bundle like any other: its hash stands in the manifest, and
nothing else is ever loaded. What it depends on stands beside it
(:class:`edgevit.bundle.manifest.Build`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import edit, refuse_unwritable
from edgevit.bundle.manifest import FLOAT_VARIANT, Build, Variant, variant_file
from edgevit.common.errors import BundleError, InputError

_INSPECTION_SUFFIX = "layers.json"
PRECISIONS = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "int8": "int8"}


@dataclass(frozen=True)
class Wanted:
    """A variant that is to be there.

    source: the variant that it is compiled from. precision: of :data:`PRECISIONS`.
    suffix: of its file. built_for, options: see :class:`edgevit.bundle.manifest.Build`.
    """

    name: str
    source: str
    runtime: str
    precision: str
    suffix: str
    built_for: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Built:
    """What a compiler gives: the file, what is worth knowing, an engine's layers as JSON text."""

    content: bytes
    facts: Mapping[str, Any] = field(default_factory=dict)
    inspection: str | None = None


class MissingFormError(InputError):
    """The form that a variant is compiled from is not in the bundle yet."""


# What a bundle is to hold, and what makes it from the source variant's file.
Plan = tuple[Wanted, Callable[[Path], Built]]


@dataclass(frozen=True)
class Outcome:
    """reasons: why it was built; none: it was fresh and was kept."""

    name: str
    reasons: tuple[str, ...]

    @property
    def was_kept(self) -> bool:
        return not self.reasons


def ensure(
    bundle: Bundle, wanted: Wanted, compile_it: Callable[[Path], Built], force: bool = False
) -> tuple[Bundle, Outcome]:
    """A bundle that has the variant, compiled now unless a fresh one is there.

    Args:
        compile_it: from the source's file. What it raises leaves the bundle as it was.
        force: compile whatever is there.
    """
    reasons = reasons_to_build(bundle, wanted)
    if force and not reasons:
        reasons = ("--force was given",)
    if not reasons:
        return bundle, Outcome(wanted.name, ())
    refuse_unwritable(bundle)
    started = time.perf_counter()
    built = compile_it(bundle.variant(wanted.source))
    seconds = round(time.perf_counter() - started, 2)
    return _with_variant(bundle, wanted, built, seconds), Outcome(wanted.name, reasons)


def reasons_to_build(bundle: Bundle, wanted: Wanted) -> tuple[str, ...]:
    """Why a variant must be compiled, as sentences; none if a fresh one is there."""
    variant = bundle.manifest.variants.get(wanted.name)
    if variant is None:
        return ("it was not in the bundle",)
    if variant.build is None:
        raise BundleError(
            f"{bundle.path}: '{wanted.name}' was not compiled, but stands where a compiled variant "
            "would go. Export the bundle again."
        )
    build, found = variant.build, []
    if damage := bundle.damage(variant.file):
        found.append(f"its file {damage}")
    if build.source_sha256 != bundle.sha256(wanted.source):
        found.append(f"the model it was compiled from ({wanted.source}) is another one now")
    found += differences(build.built_for, wanted.built_for)
    found += differences(build.options, wanted.options)
    return tuple(found)


def source_of(bundle: Bundle, runtime: str, precision: str, target: str | None = None) -> str:
    """The variant that a runtime's artefact of a precision is compiled from.

    Args:
        target: the kind of machine, where there are several forms of INT8 for a runtime.

    Raises:
        MissingFormError: export or quantize has not made it yet; says how to.
    """
    found = _sources(bundle, runtime, precision, target)
    if not found:
        raise MissingFormError(
            f"{bundle.path} has no {precision} form for {target or runtime} yet. Make it with: "
            f"edgevit quantize {quote(str(bundle.path))} --data IMAGES --target {target or runtime}"
        )
    chosen = bundle.manifest.chosen.get(target or "")
    return chosen if chosen in found else found[0]


def _sources(bundle: Bundle, runtime: str, precision: str, target: str | None = None) -> list[str]:
    """All variants that :func:`source_of` could give; none where they have to be made first."""
    if precision in ("fp32", "bf16"):
        return [FLOAT_VARIANT]
    forms = {n: v for n, v in bundle.manifest.variants.items() if v.build is None}
    if precision == "fp16":
        return [name for name, form in forms.items() if form.precision == "float16"]
    return [
        name
        for name, form in forms.items()
        if form.precision == "int8" and form.runtime == runtime and target in (None, form.target)
    ]


def differences(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What does not agree, as sentences: ``gpu: built for A10, here is Orin``."""
    return [
        f"{key}: built for {there.get(key, 'nothing')}, here is {wanted.get(key, 'nothing')}"
        for key in dict.fromkeys([*there, *wanted])
        if there.get(key) != wanted.get(key)
    ]


def _with_variant(bundle: Bundle, wanted: Wanted, built: Built, seconds: float) -> Bundle:
    file = variant_file(wanted.name, wanted.suffix)
    inspection = variant_file(wanted.name, _INSPECTION_SUFFIX) if built.inspection else None
    build = Build(
        source=wanted.source,
        source_sha256=bundle.sha256(wanted.source),
        built_for=wanted.built_for,
        options=wanted.options,
        facts={"seconds": seconds, **built.facts},
        inspection=inspection,
    )
    stored = PRECISIONS[wanted.precision]
    variant = Variant(file, stored, stored, wanted.runtime, build=build)

    with edit(bundle) as draft:
        draft.require_same(bundle, [wanted.source])
        draft.write(file, lambda path: path.write_bytes(built.content))
        if inspection is not None and built.inspection is not None:
            listed = built.inspection
            draft.write(inspection, lambda path: path.write_text(listed, encoding="utf-8"))
        draft.put(wanted.name, variant)
    return draft.bundle
