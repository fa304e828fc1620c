"""The kept corpus of minimised native files: each is refused for its reason, or runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.fuzzing.native_corpus import RUNS, Entry, outcome_of
from support.fuzzing.native_seeds import seeds
from support.needs import need_tool

CORPUS = Path(__file__).with_name("native_corpus.txt")
TESTS = Path(__file__).parents[1]
# In another process, which would end with a signal.
ALL = """
import sys
from pathlib import Path
from support.fuzzing.native_corpus import Entry, outcome_of
from support.fuzzing.native_seeds import seeds
files = seeds()
for line in Path(sys.argv[1]).read_text().splitlines():
    entry = Entry.parsed(line)
    print(outcome_of(entry.content(files[entry.seed])), flush=True)
"""


@pytest.fixture(autouse=True)
def engine() -> None:
    need_tool("native-engine")


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    return [Entry.parsed(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]


def test_every_seed_runs_unchanged() -> None:
    assert {outcome_of(content) for content in seeds().values()} == {RUNS}


def test_the_corpus_has_every_operation_refused_and_run(entries: list[Entry]) -> None:
    for name in seeds():
        outcomes = {entry.outcome for entry in entries if entry.seed == name}
        assert RUNS in outcomes
        assert len(outcomes) > 5, name


def test_every_file_of_the_corpus_has_its_outcome(entries: list[Entry]) -> None:
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(TESTS)!r})\n{ALL}"]
    ended = subprocess.run(
        [*command, str(CORPUS)], capture_output=True, text=True, check=False, timeout=240
    )
    got = ended.stdout.splitlines()
    assert ended.returncode == 0, f"{entries[len(got)]}: {ended.stderr[-2000:]}"
    assert got == [entry.outcome for entry in entries]


def test_little_may_not_ask_for_much() -> None:
    """A file of a kilobyte asked for 2 GiB, or for hours, by rows that lie upon each other."""
    seed = seeds()["unary"]
    large = Entry("unary", 32, 0x40000000, "").content(seed)
    assert outcome_of(large) == "the model needs more than 512 MiB of memory."
    arena, arguments = (32, 1 << 20), 64 + 8
    src, rows, columns, strides = (1, 0), (2, 1 << 24), (3, 1 << 16), ((4, 0), (6, 0), (8, 0))
    long = Entry("unary", *arena, "").content(seed)
    for place, value in (src, rows, columns, *strides):
        long = Entry("unary", arguments + 4 * place, value, "").content(long)
    assert outcome_of(long) == "the model has more than 137 billion operations."
