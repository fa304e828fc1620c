"""Pictures in boxes (ISO/IEC 14496-12): AVIF, JPEG 2000, and HEIC, which is only recognised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from edgevit.images.picture_formats.orientation import UPRIGHT, from_turns
from edgevit.images.picture_formats.structure import MOST_PARTS, Header, HeaderError, number

CODESTREAM = b"\xff\x4f\xff\x51"  # JPEG 2000's own start, with the marker of its size
_MOST_COMPONENTS = 4
_AVIF_COST, _JPEG_2000_COST = 2, 3  # several buffers, of wider numbers
_ALPHA = b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0"


@dataclass(frozen=True)
class _Box:
    kind: bytes
    start: int
    end: int


@dataclass
class _Items:
    """What a HEIF file's ``meta`` box says: the primary item, and the properties of all items."""

    primary: int = 0
    properties: list[_Box] = field(default_factory=list)
    of_item: dict[int, list[int]] = field(default_factory=dict)


def read_avif(data: bytes) -> Header:
    """Raises HeaderError for boxes that do not fit into each other, or a picture without a size."""
    top = {box.kind: box for box in _boxes(data, 0, len(data))}
    if b"meta" not in top:
        raise HeaderError("it has no 'meta' box")
    items = _items(data, top[b"meta"])
    sizes = [_size(data, box) for box in items.properties if box.kind == b"ispe"]
    own = [items.properties[i - 1] for i in items.of_item.get(items.primary, [])]
    width, height = next((_size(data, box) for box in own if box.kind == b"ispe"), (0, 0))
    alpha = any(
        box.kind == b"auxC" and data.startswith(_ALPHA, box.start + 4) for box in items.properties
    )
    return Header(
        "AVIF",
        width,
        height,
        _transform(data, own),
        alpha,
        frames=2 if b"moov" in top else 1,  # a sequence: how many is not counted
        most_pixels=max((w * h for w, h in sizes), default=0),
        cost=_AVIF_COST,
    )


def read_jpeg_2000(data: bytes) -> Header:
    """Raises HeaderError for a file without a codestream, or one of unusual components."""
    start = 0
    if not data.startswith(CODESTREAM):
        streams = [box.start for box in _boxes(data, 0, len(data)) if box.kind == b"jp2c"]
        if not streams or not data.startswith(CODESTREAM, streams[0]):
            raise HeaderError("it holds no JPEG 2000 codestream")
        start = streams[0]
    right, bottom, left, top = (number(data, start + 8 + 4 * i, 4) for i in range(4))
    components = number(data, start + 40, 2)
    if components > _MOST_COMPONENTS:
        raise HeaderError(f"it has {components} components; at most {_MOST_COMPONENTS} are read")
    if components == 2:
        raise HeaderError("it is grey with transparency, of which OpenCV reads no JPEG 2000")
    width, height = max(0, right - left), max(0, bottom - top)
    return Header(
        "JPEG 2000", width, height, alpha=components == _MOST_COMPONENTS, cost=_JPEG_2000_COST
    )


def _boxes(data: bytes, position: int, last: int) -> Iterator[_Box]:
    for _ in range(MOST_PARTS):
        if position + 8 > last:
            return
        size, kind, content = number(data, position, 4), data[position + 4 : position + 8], 8
        if size == 1:
            size, content = number(data, position + 8, 8), 16
        end = last if size == 0 else position + size
        if end > last or end < position + content:
            raise HeaderError("a part of it claims more bytes than the file has")
        yield _Box(kind, position + content, end)
        position = end
    raise HeaderError(f"it has more than {MOST_PARTS} parts")


def _items(data: bytes, meta: _Box) -> _Items:
    items = _Items()
    for box in _boxes(data, meta.start + 4, meta.end):
        if box.kind == b"pitm":
            is_wide = number(data, box.start, 1) > 0
            items.primary = number(data, box.start + 4, 4 if is_wide else 2)
        elif box.kind == b"iprp":
            for inner in _boxes(data, box.start, box.end):
                if inner.kind == b"ipco":
                    items.properties = list(_boxes(data, inner.start, inner.end))
                elif inner.kind == b"ipma":
                    _associate(data, inner, items)
    if any(i > len(items.properties) for of_item in items.of_item.values() for i in of_item):
        raise HeaderError("it names properties that it does not have")
    return items


def _associate(data: bytes, box: _Box, items: _Items) -> None:
    """Which properties belong to which item, by their places from 1 on; 0 is none."""
    id_bytes = 4 if number(data, box.start, 1) > 0 else 2
    index_bytes = 2 if number(data, box.start + 3, 1) & 1 else 1
    position = box.start + 8
    for _ in range(min(MOST_PARTS, number(data, box.start + 4, 4))):
        item, count = number(data, position, id_bytes), number(data, position + id_bytes, 1)
        position += id_bytes + 1
        mask = 0x7FFF if index_bytes == 2 else 0x7F
        indices = [number(data, position + i * index_bytes, index_bytes) for i in range(count)]
        items.of_item.setdefault(item, []).extend(i & mask for i in indices if i & mask)
        position += count * index_bytes
        if position > box.end:
            raise HeaderError("it ends in the middle of its header")


def _size(data: bytes, box: _Box) -> tuple[int, int]:
    return number(data, box.start + 4, 4), number(data, box.start + 8, 4)


def _transform(data: bytes, properties: list[_Box]) -> int:
    """``irot`` (quarter turns against the clock), then ``imir``, as EXIF's number."""
    turns, mirrored = 0, False
    for box in properties:
        if box.kind == b"irot":
            turns = -(number(data, box.start, 1) & 3)
        elif box.kind == b"imir":
            # Mirrored after turning by t is turning by -t after being mirrored; upside down is
            # mirrored left to right, and half a turn.
            is_left_to_right = number(data, box.start, 1) & 1
            turns, mirrored = (-turns if is_left_to_right else 2 - turns), not mirrored
    return from_turns(turns, mirrored) if turns % 4 or mirrored else UPRIGHT
