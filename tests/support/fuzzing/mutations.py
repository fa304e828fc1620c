"""What is changed in a file: bytes, values of a JSON document, fields of a protobuf message."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

EXTREMES = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", bytes(4), b"\xff\xff\xff\x7f", b"\0\0\1\0")
HEAD_BYTES = 400  # where sizes and offsets stand: changed more often
_CHANGES = (1, 1, 2, 4, 16)
_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**31,
    2**63,
    10**19,
    1e308,
    -0.5,
    "",
    "x" * 3000,
    "\ud800",
    "\x1b]0;title\x07",
    "../../etc/passwd",
    "-1",
    [],
    {},
    [None],
    [[]],
    {"": None},
)
_NEST = "nested "  # stands for lists within each other, which Python's own functions cannot write
_NESTED = re.compile(rf'"{_NEST}(\d+)"')
_NUMBERS = (0, 1, -1, 2, 7, 2**31 - 1, -(2**31), 2**62, -(2**63), 1000)
_TEXTS = ("", "x", "logits", "image", "../x", "\x1b[2J", "a" * 2000, "Loop", "Reshape", "Gemm")

Rng = np.random.Generator


def changed_bytes(data: bytes, rng: Rng) -> bytes:
    """With bytes changed, set to extremes, taken out or repeated."""
    changed = bytearray(data)
    for _ in range(rng.choice(_CHANGES)):
        reach = len(changed) if rng.random() < 0.4 else min(len(changed), HEAD_BYTES)
        place, length = int(rng.integers(max(1, reach))), int(rng.integers(1, 50))
        kind = rng.choice(["byte", "extreme", "cut", "repeat"], p=[0.5, 0.2, 0.1, 0.2])
        if kind == "byte":
            changed[place : place + 1] = bytes([rng.integers(256)])
        elif kind == "extreme":
            changed[place : place + 4] = EXTREMES[rng.integers(len(EXTREMES))]
        elif kind == "cut":
            del changed[place : place + length]
        else:
            changed[place:place] = changed[place : place + length]
    return bytes(changed)


def one_of(options: Sequence[Any], rng: Rng) -> Any:
    return options[int(rng.integers(len(options)))]


def cut_or_spliced(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """The beginning of a file; or that, and the end of another."""
    kept = data[: int(rng.integers(len(data) + 1))]
    if rng.random() < 0.5:
        return kept
    other = bytes(one_of(others, rng))
    return kept + other[int(rng.integers(len(other) + 1)) :]


def changed_file(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Bytes changed, or the file cut, or joined with another of its kind."""
    return changed_bytes(data, rng) if rng.random() < 0.8 else cut_or_spliced(data, others, rng)


def changed_json(text: str, rng: Rng) -> bytes:
    """A JSON document with values replaced, left out, repeated, exchanged or nested."""
    if rng.random() < 0.25:
        return changed_file(text.encode(), [text.encode()], rng)
    content = json.loads(text)
    for _ in range(rng.choice(_CHANGES[:4])):
        places = list(_places(content))
        if not places:
            break
        holder, key = one_of(places, rng)
        kind = rng.choice(["value", "drop", "add", "other", "nest"], p=[0.5, 0.2, 0.1, 0.15, 0.05])
        if kind == "value":
            holder[key] = copy.deepcopy(one_of(_VALUES, rng))
        elif kind == "drop":
            del holder[key]
        elif kind == "add" and isinstance(holder, dict):
            holder[str(one_of(_TEXTS, rng))] = copy.deepcopy(one_of(_VALUES, rng))
        elif kind == "nest":
            holder[key] = f"{_NEST}{rng.choice([3, 40, 900, 5000])}"
        else:
            other, its_key = one_of(places, rng)
            # What an earlier change has cut off is still there to be taken from.
            holder[key] = copy.deepcopy(other[its_key])
    dumped = json.dumps(content, ensure_ascii=False)
    nested = _NESTED.sub(lambda found: "[" * int(found[1]) + "]" * int(found[1]), dumped)
    return nested.encode("utf-8", "surrogatepass")


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every value, the containers' own too; of long lists the first few."""
    entries = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content[:20])
        if isinstance(content, list)
        else ()
    )
    for key, value in list(entries):
        yield content, key
        yield from _places(value)


def changed_message(message: Any, rng: Rng) -> None:
    """Changes fields of a protobuf message in place: the result is still one."""
    for _ in range(rng.choice(_CHANGES[:4])):
        fields = list(_fields(message))
        holder, field = one_of(fields, rng)
        if _is_repeated(field):
            _change_repeated(holder, field, rng)
        elif rng.random() < 0.2:
            holder.ClearField(field.name)
        elif field.message_type is None:
            setattr(holder, field.name, _scalar(field, rng))


def _is_repeated(field: Any) -> bool:
    if hasattr(field, "is_repeated"):  # since protobuf 6
        return bool(field.is_repeated)
    return bool(field.label == field.LABEL_REPEATED)


def _fields(message: Any) -> Iterator[tuple[Any, Any]]:
    """Every field that is set, here and in the messages within; some that are not."""
    for field, value in message.ListFields():
        yield message, field
        if field.message_type is None:
            continue
        for inner in value if _is_repeated(field) else [value]:
            yield from _fields(inner)
    unset = [field for field in message.DESCRIPTOR.fields if field.message_type is None]
    yield message, unset[len(message.ListFields()) % len(unset)] if unset else field


def _change_repeated(holder: Any, field: Any, rng: Rng) -> None:
    values = getattr(holder, field.name)
    if not len(values):
        if field.message_type is None:
            values.append(_scalar(field, rng))
        return
    place = int(rng.integers(len(values)))
    kind = rng.choice(["drop", "repeat", "value"])
    if kind == "drop":
        del values[place]
    elif field.message_type is not None:
        values.add().CopyFrom(values[place])
    elif kind == "repeat":
        values.append(values[place])
    else:
        values[place] = _scalar(field, rng)


def _scalar(field: Any, rng: Rng) -> Any:
    if field.enum_type is not None:
        return int(one_of([value.number for value in field.enum_type.values], rng))
    makers: dict[int, Callable[[], Any]] = {
        field.CPPTYPE_STRING: lambda: _text(field, rng),
        field.CPPTYPE_FLOAT: lambda: one_of((0.0, -1.0, 3e38, float("nan")), rng),
        field.CPPTYPE_DOUBLE: lambda: one_of((0.0, -1.0, 1e300, float("nan")), rng),
        field.CPPTYPE_INT32: lambda: one_of([n for n in _NUMBERS if abs(n) < 2**31], rng),
        field.CPPTYPE_INT64: lambda: one_of(_NUMBERS, rng),
        field.CPPTYPE_UINT64: lambda: abs(one_of(_NUMBERS, rng)),
        field.CPPTYPE_UINT32: lambda: abs(one_of(_NUMBERS[:5], rng)),
    }
    return makers[field.cpp_type]()


def _text(field: Any, rng: Rng) -> Any:
    text = str(one_of(_TEXTS, rng))
    return text.encode() if field.type == field.TYPE_BYTES else text
