"""Curves kept as JSON, a file a part: parts measured at different times make one picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cost_curve import Curve, Point

from edgevit.common.console import write_json


def keep(folder: Path, part: str, curves: Sequence[Curve], conditions: Mapping[str, Any]) -> None:
    """Writes ``folder/PART.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"curves": [asdict(curve) for curve in curves], "conditions": conditions}
    write_json(folder / f"{part}.json", content)


def read(folder: Path, parts: Sequence[str]) -> list[Curve]:
    """The curves of those parts that were kept, in the order of the parts."""
    files = [folder / f"{part}.json" for part in parts]
    contents = [json.loads(file.read_text()) for file in files if file.exists()]
    return [_curve(entry) for content in contents for entry in content["curves"]]


def _curve(entry: dict[str, Any]) -> Curve:
    points = tuple(Point(**point) for point in entry["points"])
    return Curve(**{**entry, "points": points})
