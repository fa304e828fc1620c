"""A picture with labelled boxes, and what was found wrong while it was read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError, some_of
from edgevit.common.untrusted.bounded import read_bytes
from edgevit.images.picture_formats import HeaderError, read_header
from edgevit.images.picture_formats.orientation import TURNS

_MOST_PICTURE_BYTES = 512 << 20
_SLACK_PX = 1.5  # tools count pixels from 0 or from 1, and the last one in or out

NO_AREA = "boxes without an area"
OUTSIDE = "boxes outside of their picture"
CLIPPED = "boxes that reached beyond their picture were clipped"
REPEATED = "boxes that repeat another of their picture are left out"
NOT_FINITE = "boxes whose sides are no finite numbers"


@dataclass(frozen=True)
class RawBox:
    """As a file tells it: left, top, right, bottom in pixels of the picture.

    ignored: ``difficult`` in VOC, ``iscrowd`` in COCO: neither trained on nor counted as missed.
    """

    name: str
    sides: tuple[float, float, float, float]
    ignored: bool = False


@dataclass(frozen=True)
class BoxedPicture:
    """file: of the picture, ``width`` x ``height`` pixels as it is shown.

    boxes: float32 [N, 4], left, top, right, bottom; N may be 0. labels: int64 [N].
    ignored: bool [N], see :class:`RawBox`.
    """

    file: Path
    width: int
    height: int
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]


@dataclass
class Findings:
    """What of the data is not used, or was changed: where it was found, by reason."""

    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, where: str) -> None:
        self.places.setdefault(reason, []).append(where)

    def lines(self) -> list[str]:
        """``3 boxes without an area: a.xml (2), b.xml``, one line a reason."""
        return [
            f"{len(all_)} {reason}: {some_of(_counted(all_))}"
            for reason, all_ in self.places.items()
        ]


def _counted(places: Iterable[str]) -> list[str]:
    count: dict[str, int] = {}
    for place in places:
        count[place] = count.get(place, 0) + 1
    return [place if n == 1 else f"{place} ({n})" for place, n in count.items()]


def usable(
    raw: Iterable[RawBox], width: int, height: int, where: str, findings: Findings
) -> list[RawBox]:
    """The boxes that lie in a picture and have an area, clipped to it; the others are counted."""
    kept: dict[RawBox, None] = {}  # in their order
    for box in raw:
        sides = np.asarray(box.sides, np.float64)
        if not np.isfinite(sides).all():
            findings.add(NOT_FINITE, where)
            continue
        if sides[2] <= sides[0] or sides[3] <= sides[1]:
            findings.add(NO_AREA, where)
            continue
        clipped = np.clip(sides, 0, [width, height, width, height])
        if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
            findings.add(OUTSIDE, where)
            continue
        if np.abs(clipped - sides).max() > _SLACK_PX:
            findings.add(CLIPPED, where)
        left, top, right, bottom = clipped.tolist()
        found = RawBox(box.name, (left, top, right, bottom), box.ignored)
        if found in kept:
            findings.add(REPEATED, where)
            continue
        kept[found] = None
    return list(kept)


def shown_size(file: Path) -> tuple[int, int] | None:
    """(width, height) of a picture as it is shown, from its header; None for no picture."""
    try:
        header = read_header(read_bytes(file, _MOST_PICTURE_BYTES, "image"))
    except (HeaderError, InputError):
        return None
    turned = TURNS[header.orientation] % 2
    return (header.height, header.width) if turned else (header.width, header.height)


def boxed(
    file: Path, size: tuple[int, int], raw: list[RawBox], classes: tuple[str, ...]
) -> BoxedPicture:
    """The arrays of one picture; every name is among the classes."""
    return BoxedPicture(
        file,
        *size,
        np.asarray([box.sides for box in raw], np.float32).reshape(-1, 4),
        np.asarray([classes.index(box.name) for box in raw], np.int64),
        np.asarray([box.ignored for box in raw], bool),
    )
