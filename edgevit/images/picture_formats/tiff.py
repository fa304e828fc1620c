"""TIFF and BigTIFF: the first directory, and how many there are (TIFF 6.0, section 2)."""

from __future__ import annotations

from dataclasses import dataclass

from edgevit.images.picture_formats.structure import ByteOrder, Header, HeaderError, number

_WIDTH, _HEIGHT, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT, _EXTRA = 256, 257, 277, 322, 323, 338
_BITS, _PHOTOMETRIC, _RGB = 258, 262, 2
_ASSOCIATED, _UNASSOCIATED = 1, 2  # kinds of extra samples: colours are multiplied by it, or not
_TYPE_BYTES = {1: 1, 3: 2, 4: 4, 16: 8}
_USUAL_SAMPLES = 4
_MOST_ENTRIES, _MOST_PAGES = 4096, 1000


@dataclass(frozen=True)
class _Layout:
    """Byte order, and how wide the fields are: BigTIFF has 64 bits where TIFF has 32."""

    order: ByteOrder
    big: bool

    @property
    def offset_bytes(self) -> int:
        return 8 if self.big else 4

    @property
    def count_bytes(self) -> int:
        return 8 if self.big else 2

    @property
    def entry_bytes(self) -> int:
        return 20 if self.big else 12


def read(data: bytes) -> Header:
    """Raises HeaderError for a directory that is not there or holds no size.

    OpenCV applies a TIFF's orientation itself, whatever it is asked; so it is not told here.
    """
    order: ByteOrder = "little" if data[:2] == b"II" else "big"
    layout = _Layout(order, number(data, 2, 2, order) == 43)
    first = number(data, 8 if layout.big else 4, layout.offset_bytes, order)
    tags = _directory(data, first, layout)
    width, height = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    samples = max(1, tags.get(_SAMPLES, 1))
    if tags.get(_PHOTOMETRIC, _RGB) != _RGB and tags.get(_EXTRA, 0) and samples == 2:
        raise HeaderError("it is grey with transparency, of which OpenCV reads no TIFF")
    tile = tags.get(_TILE_WIDTH, 0) * tags.get(_TILE_HEIGHT, 0)
    return Header(
        "TIFF",
        width,
        height,
        alpha=tags.get(_PHOTOMETRIC) == _RGB and samples == _USUAL_SAMPLES,
        premultiplied=_is_premultiplied(tags),
        frames=_pages(data, first, layout),
        most_pixels=max(width * height, tile) * -(-samples // _USUAL_SAMPLES),
    )


def _is_premultiplied(tags: dict[int, int]) -> bool:
    """Of 8 bits libtiff multiplies by itself; other samples OpenCV gives as they are."""
    kind = tags.get(_EXTRA, 0)
    return kind == _ASSOCIATED or (kind == _UNASSOCIATED and tags.get(_BITS, 8) == 8)


def _directory(data: bytes, start: int, layout: _Layout) -> dict[int, int]:
    """Tags with their first value."""
    tags = {}
    for i in range(_entries(data, start, layout)):
        entry = start + layout.count_bytes + i * layout.entry_bytes
        tag = number(data, entry, 2, layout.order)
        size = _TYPE_BYTES.get(number(data, entry + 2, 2, layout.order))
        if size is not None and size <= layout.offset_bytes:
            value = entry + 4 + layout.offset_bytes
            count = number(data, entry + 4, layout.offset_bytes, layout.order)
            if count * size > layout.offset_bytes:  # too many for here: this is where they are
                value = number(data, value, layout.offset_bytes, layout.order)
            tags[tag] = number(data, value, size, layout.order)
    return tags


def _entries(data: bytes, start: int, layout: _Layout) -> int:
    count = number(data, start, layout.count_bytes, layout.order)
    if count > _MOST_ENTRIES:
        raise HeaderError(f"its directory claims {count} entries")
    return count


def _pages(data: bytes, start: int, layout: _Layout) -> int:
    """How many directories follow each other; a circle of them ends where it closes."""
    seen: set[int] = set()
    while start and start not in seen and len(seen) < _MOST_PAGES:
        seen.add(start)
        try:
            entries = _entries(data, start, layout)
            after = start + layout.count_bytes + entries * layout.entry_bytes
            start = number(data, after, layout.offset_bytes, layout.order)
        except HeaderError:  # only the first page is decoded
            break
    return len(seen)
