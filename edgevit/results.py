"""Results of ``edgevit bench``: read back and checked, wherever they come from."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from edgevit.errors import InputError

RESULT_KIND, RESULT_SCHEMA = "edgevit bench", 1
MOST_BYTES = 64 << 20
_PARTS: dict[str, type | tuple[type, ...]] = {
    "model": dict,
    "latency_ms": dict,
    "latency_paced_ms": dict,
    "throughput_images_per_s": (int, float),
    "cold_start_ms": dict,
    "peak_memory_mib": dict,
    "energy": dict,
    "disturbed": bool,
    "disturbances": list,
    "during": dict,
    "durations_us": list,
    "options": dict,
    "conditions": dict,
}


def read_result(path: Path) -> dict[str, Any]:
    """A result from a file.

    Raises:
        InputError: there is no such file, or it holds no result of this version.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} has more than {MOST_BYTES >> 20} MiB; no result has.")
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"Cannot read the result {path}: {error.strerror or error}.") from error
    return parse_result(text, str(path))


def parse_result(text: str, source: str) -> dict[str, Any]:
    """A result from its text, which may come from anywhere.

    Raises:
        InputError: not JSON, no result of ``edgevit bench``, of a newer version, or with parts
            missing or of the wrong kind.
    """
    make = "Make one with: edgevit bench --json > result.json"
    try:
        content = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source} is not JSON ({error}). {make}") from error
    if not isinstance(content, dict) or content.get("kind") != RESULT_KIND:
        raise InputError(f"{source} is not a result of edgevit bench. {make}")
    if content.get("schema") != RESULT_SCHEMA:
        raise InputError(
            f"{source} has schema {content.get('schema')!r}; this edgevit reads {RESULT_SCHEMA}. "
            "Measure again, or upgrade: pip install --upgrade edgevit."
        )
    try:
        _check(content)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{source} is incomplete or malformed: {error}. {make}") from error
    return content


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no figure")


def _check(content: dict[str, Any]) -> None:
    for name, kind in _PARTS.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(f"'{name}' is missing or of the wrong kind")
    for group, name in (("model", "name"), ("model", "variant"), ("conditions", "runtime")):
        if not isinstance(content[group].get(name), str):
            raise ValueError(f"'{group}.{name}' is missing or no text")
    if not isinstance(content["conditions"].get("machine"), dict):
        raise ValueError("'conditions.machine' is missing")
    if not _positive(content["latency_ms"].get("p50")):
        raise ValueError("'latency_ms.p50' is no time")
    _check_durations(content["durations_us"])


def _check_durations(runs: list[Any]) -> None:
    if not runs:
        raise ValueError("'durations_us' is empty")
    for i, run in enumerate(runs):
        if not isinstance(run, list) or not run or not all(map(_positive, run)):
            raise ValueError(f"'durations_us[{i}]' is no list of times above zero")


def _positive(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and value > 0


def device_name(result: dict[str, Any]) -> str:
    """The machine in words: the board, or else the processor."""
    machine = result["conditions"]["machine"]
    parts = (machine.get("name"), machine.get("processor"))
    return next((str(part) for part in parts if part), "unknown device")
