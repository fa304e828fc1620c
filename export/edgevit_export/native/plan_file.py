"""A plan as the bytes of its file: header, operations, names, constants (docs/native.md)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError
from edgevit_export.native.arena import Lifetime, aligned, allocate
from edgevit_export.native.plan import Buffer, Constant, Geometry, Op, Output, Place, Plan

MAGIC = b"EDGEVIT\0"
VERSION = 1
BYTE_ORDER = 0x01020304
HEADER_BYTES = 64
OP_BYTES = 128
ARGUMENTS = 30
NO_ADDRESS = 0xFFFFFFFF
CONSTANT_BIT = 0x80000000
_LONGEST_NAME = 255


def plan_bytes(plan: Plan) -> bytes:
    """The whole file.

    Raises:
        InputError: the model is too large for 31-bit addresses.
    """
    arena, arena_bytes = _arena(plan)
    rest = _Rest(HEADER_BYTES + OP_BYTES * len(plan.ops))
    addresses = _Addresses(arena, rest)
    ops = b"".join(_op_bytes(op, rest.name(op.name), addresses) for op in plan.ops)
    places = addresses.of(plan.logits), addresses.of(plan.superpixel_map)
    body = ops + rest.content()
    length = HEADER_BYTES + len(body)
    if max(length, arena_bytes) >= CONSTANT_BIT:
        raise InputError(
            f"The native format addresses 2 GiB; this model needs {length} bytes of weights and "
            f"{arena_bytes} of memory. Compile it with --target onnxruntime."
        )
    logits, superpixels = places
    header = struct.pack(
        "<8sIIQIIIIIIIIII",
        MAGIC,
        VERSION,
        BYTE_ORDER,
        length,
        zlib.crc32(body),
        len(plan.ops),
        arena_bytes,
        plan.height,
        plan.width,
        logits,
        plan.classes,
        superpixels,
        plan.map_rows,
        plan.map_columns,
    )
    return header + body


def _op_bytes(op: Op, name: int, addresses: _Addresses) -> bytes:
    words = [addresses.word(*argument) for argument in _arguments(op)]
    if len(words) > ARGUMENTS:
        raise ValueError(f"{type(op).__name__} has {len(words)} arguments; room is for {ARGUMENTS}")
    words += [0] * (ARGUMENTS - len(words))
    return struct.pack(f"<{2 + ARGUMENTS}I", op.kind, name, *words)


def _arguments(op: Op | Output | Geometry) -> Iterator[tuple[str, Any]]:
    """(type, value) in the order of the file, those of an output or a geometry in its place."""
    for entry in fields(op):
        value = getattr(op, entry.name)
        if isinstance(value, (Output, Geometry)):
            yield from _arguments(value)
        elif entry.name != "name":
            yield str(entry.type), value


@dataclass
class _Rest:
    """Names and constants; equal ones are stored once."""

    start: int
    parts: list[bytes] = field(default_factory=list)
    length: int = 0
    known: dict[bytes, int] = field(default_factory=dict)

    def name(self, text: str) -> int:
        short = text.encode()[:_LONGEST_NAME].decode(errors="ignore")
        return self._put(short.encode() + b"\0", 1)

    def constant(self, values: NDArray[Any]) -> int:
        little = values.astype(values.dtype.newbyteorder("<"), copy=False)
        return self._put(np.ascontiguousarray(little).tobytes(), 64)

    def _put(self, content: bytes, alignment: int) -> int:
        key = bytes([alignment]) + content
        if key not in self.known:
            gap = -(self.start + self.length) % alignment
            self.known[key] = self.start + self.length + gap
            self.parts += [bytes(gap), content]
            self.length += gap + len(content)
        return self.known[key]

    def content(self) -> bytes:
        """With 64 more bytes: constants are read in whole vectors, too."""
        return b"".join(self.parts) + bytes(aligned(self.length) - self.length + 64)


@dataclass(frozen=True)
class _Addresses:
    arena: dict[int, int]
    rest: _Rest

    def word(self, kind: str, value: Any) -> int:
        if kind == "float":
            return int(np.float32(value).view(np.uint32))
        if value is None or isinstance(value, Place):
            return self.of(value)
        return int(value)

    def of(self, place: Place | None) -> int:
        if place is None:
            return NO_ADDRESS
        root = place.root
        if isinstance(root.block, Constant):
            return CONSTANT_BIT | (self.rest.constant(root.block.values) + root.offset)
        return self.arena[id(root.block)] + root.offset


# Memory ------------------------------------------------------------------------------------------


def _arena(plan: Plan) -> tuple[dict[int, int], int]:
    """(the address of every buffer that lies in no other, by its id; bytes of the arena)."""
    lives: dict[int, Lifetime] = {}
    for i, place in _uses(plan):
        root = place.root.block
        if isinstance(root, Buffer):
            first = lives[id(root)].first if id(root) in lives else i
            lives[id(root)] = Lifetime(root.size, first, i)
    addresses, size = allocate(list(lives.values()))
    return dict(zip(lives, addresses, strict=True)), size


def _uses(plan: Plan) -> Iterator[tuple[int, Place]]:
    """(an operation, a place that it reads or writes), in order; the results are used last."""
    for i, op in enumerate(plan.ops):
        for _, value in _arguments(op):
            if isinstance(value, Place):
                yield i, value
    for place in (plan.logits, plan.superpixel_map):
        if place is not None:
            yield len(plan.ops), place
