"""Pascal VOC: one XML file a picture.

Read through defusedxml: entities, and the expansion of entities within each other ("billion
laughs"), are refused. Coordinates are taken as they stand, whether a tool counts from 0 or from 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.common.errors import InputError
from edgevit.common.libraries import require_modules
from edgevit.common.untrusted.bounded import read_bytes
from edgevit.common.untrusted.parsers import parsing
from edgevit.images.labelled_boxes.boxed_picture import RawBox

_MOST_BYTES = 16 << 20
_SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class VocFile:
    """size: (width, height) as the file says, None where it does not. picture: its file name."""

    picture: str | None
    size: tuple[int, int] | None
    boxes: list[RawBox]


def read_voc(path: Path) -> VocFile:
    """Reads one annotation.

    Raises:
        MissingExtraError: defusedxml is not installed.
        InputError: no XML, XML with entities, or no VOC annotation.
    """
    require_modules("Reading Pascal VOC annotations", "detect", ("defusedxml",))
    from defusedxml.ElementTree import fromstring

    text = read_bytes(path, _MOST_BYTES, "annotation")
    with parsing(lambda reason: _unreadable(path, reason), _reason):
        root = fromstring(text, forbid_dtd=True)
    if root.tag != "annotation":
        raise _unreadable(path, f"its root is <{root.tag}>, expected <annotation>")
    return VocFile(
        root.findtext("filename"),
        _size(root),
        [_box(each, path) for each in root.iter("object")],
    )


def _reason(error: BaseException) -> str:
    name = type(error).__name__
    if name in ("DTDForbidden", "EntitiesForbidden", "ExternalReferenceForbidden"):
        return "it declares a document type or entities, which an annotation never needs"
    return str(error) or name


def _unreadable(path: Path, reason: str) -> InputError:
    return InputError(
        f"{path} is not a Pascal VOC annotation: {reason}. Mend it, or delete it with its picture."
    )


def _size(root: Any) -> tuple[int, int] | None:
    """As written; some tools write 0 where they do not know."""
    width, height = (_number(root.findtext(f"size/{side}")) for side in ("width", "height"))
    if not (width > 0 and height > 0):
        return None
    return round(width), round(height)


def _box(element: Any, path: Path) -> RawBox:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise _unreadable(path, "an <object> has no <name>")
    left, top, right, bottom = (_number(element.findtext(f"bndbox/{side}")) for side in _SIDES)
    difficult = _number(element.findtext("difficult")) == 1
    return RawBox(name, (left, top, right, bottom), difficult)


def _number(text: str | None) -> float:
    """NaN where there is no number."""
    try:
        return float(text) if text is not None else math.nan
    except ValueError:
        return math.nan
