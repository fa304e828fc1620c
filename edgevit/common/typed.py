"""From parsed JSON to frozen dataclasses, checked against their annotations."""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_LARGEST = 2**63 - 1  # of an int: a JSON file may hold one that is no float


def from_plain(kind: type[T], content: object, where: str) -> T:
    """Builds a dataclass from a JSON object, parts and all.

    A class that says ``MAY_SAY_MORE`` describes a part of what is there; the rest is left out.

    Args:
        where: what the content is called in an error, such as ``model``.

    Raises:
        ValueError: a field is missing, unknown, or of the wrong type; it is named.
    """
    if not isinstance(content, dict):
        raise ValueError(f"{where} is {_name(content)}, expected an object")
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    content = _described(content, fields, getattr(kind, "MAY_SAY_MORE", False))
    unknown = sorted(set(content) - set(fields))
    missing = sorted(
        name
        for name, field in fields.items()
        if name not in content
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    )
    if unknown or missing:
        listed = [f"no {name}" for name in missing] + [f"an unknown {name}" for name in unknown]
        raise ValueError(f"{where} has {', '.join(listed)}")
    values = {
        name: _value(hints[name], value, f"{where}.{name}") for name, value in content.items()
    }
    return kind(**values)


def _described(
    content: dict[Any, Any], fields: Mapping[str, Any], may_say_more: bool
) -> dict[Any, Any]:
    return {k: v for k, v in content.items() if k in fields} if may_say_more else content


def _value(kind: Any, value: object, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return from_plain(kind, value, where)  # type: ignore[arg-type]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, where)
    if origin is Literal:
        if not any(value == one and type(value) is type(one) for one in arguments):
            raise ValueError(f"{where} is {value!r}, expected one of {list(arguments)}")
        return value
    if origin is tuple:
        return _tuple(arguments, value, where)
    if origin is Mapping or (origin is not None and issubclass(origin, Mapping)):
        if not isinstance(value, dict):
            raise ValueError(f"{where} is {_name(value)}, expected an object")
        return {key: _value(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    return _plain(kind, value, where)


def _one_of(kinds: tuple[Any, ...], value: object, where: str) -> Any:
    for kind in kinds:
        if kind is type(None):
            if value is None:
                return None
            continue
        try:
            return _value(kind, value, where)
        except ValueError:
            continue
    wanted = " or ".join("null" if k is type(None) else getattr(k, "__name__", "?") for k in kinds)
    raise ValueError(f"{where} is {_name(value)}, expected {wanted}")


def _tuple(kinds: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"{where} is {_name(value)}, expected a list")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ValueError(f"{where} has {len(value)} entries, expected {len(kinds)}")
    return tuple(
        _value(kind, item, f"{where}[{i}]")
        for i, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _plain(kind: Any, value: object, where: str) -> Any:
    if kind is Any:
        return value
    if isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError(f"{where} is beyond {_LARGEST}")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{where} is {_name(value)}, expected {kind.__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}, expected a finite number")
    return value


def _name(value: object) -> str:
    return "null" if value is None else f"{type(value).__name__} {str(value)[:40]!r}"
