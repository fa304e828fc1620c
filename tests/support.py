"""Helpers of the tests: processes, pictures as files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from edgevit.registry import ModelEntry, find
from edgevit.spec import IsotropicSpec, LlaSpec

ROOT = Path(__file__).parents[1]
SOURCES = (ROOT, ROOT / "export", ROOT / "runtimes")
SHARED_DATA = ROOT.parent / "shared" / "data"


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def one_message(self) -> str:
        """The error of a user's mistake: one line, no traceback."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        return lines[0]


Command = Callable[..., Finished]


def shallow(name: str) -> ModelEntry:
    """A model of the zoo with two layers instead of twelve: what is in a layer is there.

    One with shipped weights stays as it is. All models in full depth are in the slow tests.
    """
    entry = find(name)
    if entry.weights is None and isinstance(entry.spec, IsotropicSpec):
        return ModelEntry(replace(entry.spec, depth=2 * _layers_per_reading(entry.spec)), "")
    return entry


def _layers_per_reading(spec: IsotropicSpec) -> int:
    return spec.layers_per_reading if isinstance(spec, LlaSpec) else 1


def environment() -> dict[str, str]:
    """An environment in which a child finds the packages, installed or not."""
    paths = [*map(str, SOURCES), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def python(*arguments: object, cwd: Path | None = None) -> Finished:
    """Python in a fresh process."""
    ended = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        cwd=cwd,
        timeout=300,
    )
    return Finished(ended.returncode, ended.stdout, ended.stderr)


def write_png(path: Path, picture: np.ndarray) -> Path:
    """Writes an RGB (or greyscale, or RGBA) array of 8 or 16 bits."""
    code = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}.get(picture.shape[-1])
    coded = cv2.cvtColor(picture, code) if picture.ndim == 3 and code is not None else picture
    assert cv2.imwrite(str(path), coded)
    return path
