"""Folders that are expensive to make: once in a run, whichever worker needs them first."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that ``make`` fills; other workers wait for it. Tests read it and never write.

    It is made aside and renamed, so nothing in it may hold its own path.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # that of the whole run
    folder = root / name
    with FileLock(root / f"{name}.lock"):
        if not folder.exists():
            aside = root / f"{name}.partial"
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            make(aside)
            aside.rename(folder)
    return folder
