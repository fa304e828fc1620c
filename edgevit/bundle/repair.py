"""A bundle of which some files were damaged or lost, without the variants that needed them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.compiled import PRECISIONS
from edgevit.bundle.edit import edit
from edgevit.bundle.manifest import FLOAT_VARIANT, Variant
from edgevit.common.errors import DamagedError


@dataclass(frozen=True)
class Dropped:
    """reason: what was wrong with its file. again: the command that makes it again."""

    reason: str
    again: str


def repair(bundle: Bundle) -> tuple[Bundle, Mapping[str, Dropped]]:
    """Drops the variants whose files are damaged; all files are hashed.

    Returns:
        The bundle, and what was dropped, by the name of the variant.

    Raises:
        DamagedError: the float model, the reference or the superpixels are damaged: nothing of
            those can be made again without the weights.
    """
    fresh = Bundle(bundle.path, bundle.manifest, fresh_hashes=True)
    damaged = {name: why for name in bundle.manifest.files if (why := fresh.damage(name))}
    variants = bundle.manifest.variants
    broken = {
        name: Dropped(f"{file} {damaged[file]}", _again(bundle, variant))
        for name, variant in variants.items()
        for file in sorted(variant.files & damaged.keys())
    }
    replaceable = {file for name in broken for file in variants[name].files}
    lost = damaged.keys() - replaceable
    if lost or FLOAT_VARIANT in broken:
        named = ", ".join(sorted(lost | ({variants[FLOAT_VARIANT].file} & damaged.keys())))
        raise DamagedError(
            f"{bundle.path}: {named} cannot be made again from what is left. Export or copy the "
            "bundle again."
        )
    if not broken:
        return bundle, {}
    with edit(bundle) as draft:
        draft.require_same(bundle, broken)
        draft.drop(broken)
    return draft.bundle, broken


def _again(bundle: Bundle, variant: Variant) -> str:
    path = quote(str(bundle.path))
    if variant.build is None:
        return f"edgevit quantize {path} --data IMAGES --force"
    precision = next(short for short, name in PRECISIONS.items() if name == variant.precision)
    provider = variant.build.options.get("provider", "cpu")
    options = "" if provider == "cpu" else f" --provider {provider}"
    return f"edgevit compile {path} --target {variant.runtime} --precision {precision}{options}"
