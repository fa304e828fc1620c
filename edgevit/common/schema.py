"""From JSON text to typed, frozen facts: checked once, where it comes in.

msgspec checks them, and names the field that does not fit. Those that every answer needs, such as
the manifest's, are its structs; others may be dataclasses, each of which runs generated code when
it is imported (0.4 ms).

**Versions.** A document says its version as ``schema`` (the major number) and ``schema_minor`` (0
where it is not said). A new major number means that an older reader would misunderstand it, so it
refuses; a new minor number only adds fields, which an older reader passes over. A field that is
unknown in a version that is known is an error: nobody means it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, TypeVar

from edgevit.common.untrusted.sanitize import harmless

T = TypeVar("T")
_DEEPEST = 30  # objects and lists within each other
_MOST_DIGITS = 20  # of a whole number; nanoseconds since 1970 have 19
_CONTAINERS = frozenset((dict, list))
_MESSAGE = re.compile(r"(?P<what>.*?)(?: - at (?:`key` in )?`\$(?P<path>.*)`)?", re.DOTALL)
_WRONG_KIND = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_ANY_KEY = "[...]"  # msgspec does not say which key of a mapping


def plain_json(text: str | bytes) -> Any:
    """JSON whose numbers are finite and of a length that can be reckoned with.

    Raises:
        ValueError: it is not such JSON, or nested too deep to read.
    """
    try:
        content = json.loads(
            text, parse_constant=_refuse_constant, parse_float=_fraction, parse_int=_whole
        )
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    _refuse_depth(content, _DEEPEST)
    return content


def cleaned(content: Any) -> Any:
    """The same, with every text as a terminal may show it."""
    if isinstance(content, str):
        return harmless(content)
    if isinstance(content, dict):
        return {harmless(key): cleaned(value) for key, value in content.items()}
    if isinstance(content, list):
        return [cleaned(item) for item in content]
    return content


def typed(kind: type[T], content: object, unknown_fields: bool = False, where: str = "") -> T:
    """A struct or dataclass from parsed JSON, parts and all.

    Args:
        unknown_fields: pass over fields that the type does not have.
        where: what the content is called, as the beginning of a field's name.

    Raises:
        ValueError: a field is missing, unknown, or of the wrong kind; it is named.
    """
    import msgspec

    try:
        value = msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        raise ValueError(_explained(kind, content, str(error), where)) from error
    if not unknown_fields and (path := _unknown(content, msgspec.to_builtins(value), where)):
        raise ValueError(f"{path} is an unknown field")
    return value


def typed_json(kind: type[T], text: str) -> T:
    """A struct or dataclass straight from JSON; fields that the type does not have are never built.

    For long files: as Python's objects, ``[],[],...`` takes 24 times its length.

    Raises:
        ValueError: it is not JSON, or a field is missing or of the wrong kind; it is named.
    """
    import msgspec

    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise ValueError(_explained(kind, None, str(error), "")) from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(harmless(str(error)).rstrip(".")) from error
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def to_plain(value: object) -> Any:
    """Dicts, lists, numbers and texts, as :func:`typed` takes them."""
    import msgspec

    # msgspec itself leaves out the fields of a dataclass that kept their defaults.
    whole = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return _with_lists(msgspec.to_builtins(whole))


def _with_lists(value: Any) -> Any:
    """As JSON reads it again: no tuples."""
    if isinstance(value, dict):
        return {key: _with_lists(item) for key, item in value.items()}
    return [_with_lists(item) for item in value] if isinstance(value, (list, tuple)) else value


def is_newer_minor(content: Mapping[str, Any], minor: int) -> bool:
    """Whether a document of our major version says a newer minor one.

    Raises:
        ValueError: ``schema_minor`` is no number.
    """
    said = content.get("schema_minor", 0)
    if not isinstance(said, int) or isinstance(said, bool) or said < 0:
        raise ValueError(f"schema_minor is {harmless(repr(said))}, expected a whole number")
    return said > minor


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no figure")


def _fraction(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:_MOST_DIGITS]} is too large for a figure")
    return value


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits is no figure")
    return int(digits)


def _refuse_depth(content: Any, levels: int) -> None:
    if not levels:
        raise ValueError("it is nested too deep")
    items = _items(content)
    if _CONTAINERS.isdisjoint(map(type, items)):  # in C: lists of millions of numbers
        return
    for item in items:
        if type(item) in _CONTAINERS:
            _refuse_depth(item, levels - 1)


def _items(content: Any) -> Iterable[Any]:
    if isinstance(content, dict):
        return content.values()
    return content if isinstance(content, list) else ()


def _unknown(content: Any, known: Any, path: str) -> str | None:
    """Where the content has a field that the type did not take in."""
    if isinstance(content, dict) and isinstance(known, dict):
        for key, value in content.items():
            here = f"{path}.{harmless(str(key))}".removeprefix(".")
            if key not in known:
                return here
            if found := _unknown(value, known[key], here):
                return found
    elif isinstance(content, list) and isinstance(known, list | tuple):
        for i, (value, taken) in enumerate(zip(content, known, strict=True)):
            if found := _unknown(value, taken, f"{path}[{i}]"):
                return found
    return None


def _explained(kind: type[Any], content: object, message: str, root: str) -> str:
    """msgspec's message as a sentence that begins with the field."""
    matched = _MESSAGE.fullmatch(message)
    what, path = (matched["what"], matched["path"] or "") if matched else (message, "")
    if _ANY_KEY in path and content is not None:
        path = _with_keys(kind, content, path)
    path = f"{root}{path}".removeprefix(".")
    where = path or "it"
    if wrong := _WRONG_KIND.fullmatch(what):
        return f"{where} is {wrong['got']}, expected {wrong['expected'].replace(' | ', ' or ')}"
    if missing := _MISSING.fullmatch(what):
        return f"{path}.{missing['name']} is missing".removeprefix(".")
    return f"{where}: {harmless(what)}"


def _with_keys(kind: type[Any], content: object, path: str) -> str:
    """The path with the keys of mappings: those that alone bring the same error about."""
    before, _, after = path.partition(_ANY_KEY)
    mapping = _at(content, before)
    for key in mapping if isinstance(mapping, dict) else ():
        alone = _replaced(content, before, {key: mapping[key]})
        if _fails_at(kind, alone, path):
            named = f"{before}.{harmless(str(key))}"
            rest = f"{named}{after}"
            return _with_keys(kind, alone, rest) if _ANY_KEY in after else rest
    return path


def _fails_at(kind: type[Any], content: object, path: str) -> bool:
    import msgspec

    try:
        msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        return f"`${path}`" in str(error)
    return False


def _steps(path: str) -> list[str]:
    return re.findall(r"[^.\[\]]+", path)


def _at(content: Any, path: str) -> Any:
    for step in _steps(path):
        content = content[int(step)] if isinstance(content, list) else content[step]
    return content


def _replaced(content: Any, path: str, part: Any) -> Any:
    """A copy of the content with another part at a path."""
    steps = _steps(path)
    if not steps:
        return part
    first, rest = steps[0], ".".join(steps[1:])
    if isinstance(content, list):
        place = int(first)
        return [*content[:place], _replaced(content[place], rest, part), *content[place + 1 :]]
    return {**content, first: _replaced(content[first], rest, part)}
