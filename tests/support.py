"""Helpers of the tests: processes, pictures as files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgevit.common.progress import Advance, SilentProgress
from edgevit.zoo.registry import ModelEntry, find
from edgevit.zoo.spec import IsotropicSpec, LlaSpec

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


def begin(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own, under way; ``options`` are Popen's."""
    return subprocess.Popen(
        [sys.executable, "-m", "edgevit", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        **options,
    )


def write_png(path: Path, picture: np.ndarray) -> Path:
    """Writes an RGB (or greyscale, or RGBA) array of 8 or 16 bits."""
    code = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}.get(picture.shape[-1])
    coded = cv2.cvtColor(picture, code) if picture.ndim == 3 and code is not None else picture
    assert cv2.imwrite(str(path), coded)
    return path


class StopAfter(SilentProgress):
    """Presses Ctrl-C after some steps; a step is an advance with a note."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        with super().bar(label, total):
            yield self._advance

    def _advance(self, steps: int = 1, note: str = "") -> None:
        self.left -= steps if note else 0
        if note and self.left == 0:
            signal.raise_signal(signal.SIGINT)
