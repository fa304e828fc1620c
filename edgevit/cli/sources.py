"""``[BUNDLE] SOURCE...``: which of the words is the bundle."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote

from edgevit.cli.options import holds_manifest, looks_like_bundle, open_bundle
from edgevit.common.errors import InputError


def split_sources(sources: list[str], command: str, usage: str) -> tuple[Path | None, list[str]]:
    """Takes the first source for a bundle if it looks like one, or is the name of a model.

    Args:
        command: the command's name.
        usage: what stands behind the bundle, for the message where nothing does.

    Raises:
        InputError: nothing is there to answer, or a bundle stands behind the pictures.
    """
    first = sources[0]
    bundle = Path(first) if first and _is_meant_as_bundle(first) else None
    rest = sources[1:] if bundle else sources
    if bundle and (_is_model_name(first) or not rest):
        open_bundle(bundle)  # what is none says what it is
    if not rest:
        raise InputError(f"No images given. Usage: edgevit {command} {quote(first)} {usage}")
    _refuse_late_bundle(sources, command)
    return bundle, rest


def _is_meant_as_bundle(word: str) -> bool:
    return looks_like_bundle(Path(word)) or _is_model_name(word)


def _is_model_name(word: str) -> bool:
    if os.path.exists(word):  # noqa: PTH110  (a pipeline may be too long a name, which pathlib raises)
        return False
    from edgevit.zoo.registry import is_model_name  # with the specifications of all models

    return is_model_name(word)


def _is_bundle(word: str) -> bool:
    return bool(word) and holds_manifest(Path(word))


def _refuse_late_bundle(sources: list[str], command: str) -> None:
    late = next((word for word in sources[1:] if _is_bundle(word)), None)
    if late is None:
        return
    if _is_bundle(sources[0]):
        raise InputError(f"Got two bundles, {sources[0]} and {late}; {command} takes one.")
    others = " ".join(quote(word) for word in sources if word != late)
    raise InputError(
        f"{late} is a bundle, and goes before the pictures: edgevit {command} {quote(late)} "
        f"{others}"
    )
