"""The list of a set's pictures, small enough that sets of millions of them are no matter.

Names and places are kept compressed, some at a time. A million names of files in one folder take
some 10 MB so, and 200 MB as Python's objects.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from edgevit.workflows.sets.picture_items import PictureItem

PICTURES_A_PART = 32


@dataclass(frozen=True)
class SetListing:
    """parts: pictures in the order of the set, ``PICTURES_A_PART`` in each but the last."""

    count: int
    parts: tuple[bytes, ...]

    @classmethod
    def of(cls, items: Iterable[PictureItem]) -> SetListing:
        """Takes items as they come; none of them is held."""
        remaining, parts, count = iter(items), [], 0
        while some := list(islice(remaining, PICTURES_A_PART)):
            parts.append(zlib.compress(pickle.dumps((count, some)), level=1))
            count += len(some)
        return cls(count, tuple(parts))

    def __len__(self) -> int:
        return self.count


def opened(part: bytes) -> tuple[range, list[PictureItem]]:
    """The pictures of a part, and their places in the set."""
    first, items = pickle.loads(zlib.decompress(part))
    return range(first, first + len(items)), items
