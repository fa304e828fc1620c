"""A lock keeps others away, and costs nothing once it is given up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgevit.common.errors import InputError
from edgevit.common.storage.locks import locked


def test_one_who_waits_in_vain_keeps_no_file_open(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    with locked(path):
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(3):
            with pytest.raises(InputError, match=f"process {os.getpid()}"), locked(path, 0.1):
                raise AssertionError("held twice")
        assert len(list(Path("/proc/self/fd").iterdir())) == before
