"""Results of ``edgevit bench``: read back and checked, wherever they come from."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from edgevit.common.errors import InputError
from edgevit.common.sanitize import harmless
from edgevit.common.untrusted import bounded

RESULT_KIND, RESULT_SCHEMA = "edgevit bench", 1
MOST_BYTES = 64 << 20
_DEEPEST = 30  # objects and lists within each other
_MOST_DIGITS = 20  # of a whole number anywhere; nanoseconds since 1970 have 19
_LEAST, _MOST = 1e-9, 1e15  # of a figure that is not zero
_SHORTEST_US, _LONGEST_US = 1e-3, 86_400e6  # a nanosecond, a day
_NUMBER, _MAYBE = "a number", "a number or null"  # zero or above
_SIGNED, _MAYBE_SIGNED = "a number of either sign", "a number of either sign or null"
_EACH = "*"  # of an object with names of its own
_PERCENTILES = {"p50": _NUMBER, "p90": _MAYBE, "p99": _MAYBE, "samples": _NUMBER}
_WARMUP = {"inferences": _NUMBER, "seconds": _NUMBER, "steady": bool}
# What is printed, drawn or compared; a result may hold more.
_SHAPE: dict[str, Any] = {
    "model": {
        "name": str,
        "variant": str,
        "file_mib": _NUMBER,
        "parameters": _NUMBER,
        "verdicts": list,
    },
    "latency_ms": {**_PERCENTILES, "p50_by_process": list, "warmup": _WARMUP},
    "latency_paced_ms": {**_PERCENTILES, "fps": _NUMBER, "late": _NUMBER, "warmup": _WARMUP},
    "throughput_images_per_s": _NUMBER,
    "cold_start_ms": {"total": _NUMBER, "open_model": _NUMBER, "samples": _NUMBER},
    "peak_memory_mib": {
        "load": _MAYBE,
        "steady": _MAYBE,
        "load_pss": _MAYBE,
        "steady_pss": _MAYBE,
        "without_model": _NUMBER,
        "gpu": _MAYBE,
        "shared_delta": _MAYBE_SIGNED,
    },
    "energy": {"per_inference_mj": _MAYBE, "above_idle_mj": _MAYBE_SIGNED, "power_mw": _MAYBE},
    "disturbed": bool,
    "disturbances": list,
    "during": {
        "temperature_c": {_EACH: {"most": _SIGNED}},
        "clock_mhz": {_EACH: {"median": _NUMBER}},
        "vanished": list,
    },
    "durations_us": list,
    "options": {},
    "conditions": {
        "runtime": str,
        "superpixels": str,
        "threads": _NUMBER,
        "batch": _NUMBER,
        "machine": {},
    },
}


def read_result(path: Path) -> dict[str, Any]:
    """A result from a file.

    Raises:
        InputError: there is no such file, or it holds no result of this version.
    """
    return parse_result(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a file that is to hold a result.

    Raises:
        InputError: it cannot be read, or is larger than any result.
    """
    return bounded.read_text(path, MOST_BYTES, "result of edgevit bench")


def parse_result(text: str, source: str) -> dict[str, Any]:
    """A result from its text, which may come from anywhere; its texts are made harmless.

    Raises:
        InputError: not JSON, no result of ``edgevit bench``, of a newer version, or with parts
            missing or of the wrong kind.
    """
    make = "Make one with: edgevit bench --output result.json"
    try:
        content = plain_json(text)
    except ValueError as error:
        raise InputError(f"{source} is not JSON that can be used ({error}). {make}") from error
    if not isinstance(content, dict) or content.get("kind") != RESULT_KIND:
        raise InputError(f"{source} is not a result of edgevit bench. {make}")
    if content.get("schema") != RESULT_SCHEMA:
        raise InputError(
            f"{source} has schema {harmless(repr(content.get('schema')))}; this edgevit reads "
            f"{RESULT_SCHEMA}. Measure again, or upgrade: pip install --upgrade edgevit."
        )
    try:
        _check(content, _SHAPE, "")
        _check_durations(content["durations_us"])
    except ValueError as error:
        raise InputError(f"{source} is incomplete or malformed: {error}. {make}") from error
    cleaned: dict[str, Any] = _cleaned(content)
    return cleaned


def plain_json(text: str) -> Any:
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


def _refuse_depth(content: Any, levels: int) -> None:
    if not levels:
        raise ValueError("it is nested too deep")
    items = content.values() if isinstance(content, dict) else content
    for item in items if isinstance(content, dict | list) else ():
        if isinstance(item, dict | list):
            _refuse_depth(item, levels - 1)


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


def _check(content: Any, shape: Any, where: str) -> None:
    if isinstance(shape, dict):
        _check_object(content, shape, where)
    elif shape in (_MAYBE, _MAYBE_SIGNED) and content is None:
        return
    elif isinstance(shape, str):
        if not _is_number(content, signed=shape in (_SIGNED, _MAYBE_SIGNED)):
            raise ValueError(f"'{where}' is missing, not {shape}, or out of all bounds")
    elif not isinstance(content, shape):
        raise ValueError(f"'{where}' is missing or of the wrong kind")


def _check_object(content: Any, shape: dict[str, Any], where: str) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"'{where}' is missing or of the wrong kind")
    for key, part in shape.items():
        names = list(content) if key == _EACH else [key]
        for name in names:
            path = f"{where}.{harmless(name)}" if where else name
            _check(content.get(name), part, path)


def _check_durations(runs: list[Any]) -> None:
    if not runs:
        raise ValueError("'durations_us' is empty")
    for i, run in enumerate(runs):
        if not isinstance(run, list) or not run or not all(map(_is_time, run)):
            raise ValueError(f"'durations_us[{i}]' is no list of times of a nanosecond to a day")


def _is_number(value: object, signed: bool = False) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value == 0 or _LEAST <= (abs(value) if signed else value) <= _MOST


def _is_time(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return _SHORTEST_US <= value <= _LONGEST_US


def _cleaned(content: Any) -> Any:
    """The same, with every text as a terminal may show it."""
    if isinstance(content, str):
        return harmless(content)
    if isinstance(content, dict):
        return {harmless(key): _cleaned(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_cleaned(item) for item in content]
    return content


def device_name(result: dict[str, Any]) -> str:
    """The machine in words: the board, or else the processor."""
    machine = result["conditions"]["machine"]
    parts = (machine.get("name"), machine.get("processor"))
    return next((str(part) for part in parts if part), "unknown device")
