"""Instructions under QEMU are counted one for one; what is missing is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgevit.common.errors import InputError
from engine.emulator import Emulator, open_emulator
from support import ROOT, environment
from support.needs import needs_qemu_plugins

_LOOP = """
.globl _start
_start: mov x0, #{rounds}
again:  subs x0, x0, #1
        b.ne again
        mov x8, #93
        svc #0
"""


@pytest.fixture
def emulator(tmp_path: Path) -> Emulator:
    return open_emulator("qemu-aarch64", tmp_path)


def looping(folder: Path, rounds: int) -> Path:
    """A program of ``2 * rounds + 3`` instructions that ends with status 0."""
    source, target = folder / "loop.s", folder / f"loop-{rounds}"
    source.write_text(_LOOP.format(rounds=rounds))
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl"]
    options = ["-nostdlib", "-static", str(source), "-o", str(target)]
    subprocess.run([*compiler, *options], check=True)
    return target


@pytest.mark.arm64
@needs_qemu_plugins
@pytest.mark.parametrize("rounds", [1, 1000, 65535])
def test_every_instruction_counts(rounds: int, emulator: Emulator, tmp_path: Path) -> None:
    instructions, printed = emulator.count("cortex-a72", [looping(tmp_path, rounds)])
    assert (instructions, printed) == (2 * rounds + 3, "")


def test_a_missing_emulator_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no-such-qemu is missing: apt-get install qemu-user"):
        open_emulator("no-such-qemu", tmp_path)


def test_an_emulator_without_plugins_is_refused(tmp_path: Path) -> None:
    qemu = tmp_path / "qemu"
    qemu.write_text("#!/bin/sh\necho usage: qemu-aarch64 [options] program\n")
    qemu.chmod(0o755)
    with pytest.raises(InputError, match="takes no plugins"):
        open_emulator(str(qemu), tmp_path)


def test_the_script_ends_with_2_where_a_tool_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "engine.arm_instructions", "--wheel", "none.whl"]
    ended = subprocess.run(
        [*command, "--libraries", str(tmp_path)],
        cwd=ROOT / "benchmarks",
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: {tmp_path} has no lib")
    assert "apt-get install libstdc++6-arm64-cross" in ended.stderr
