"""Reads hostile files of every kind: an answer or one clear error, in little time and memory.

    PYTHONPATH=tests python -m support.fuzzing.run_all --seconds 240 --seed 1

prints counts for every kind of file, and ends with 1 where an input brought anything but an answer
or an error with exit code 1 or 2 about, took 20 s, or 2 GiB. Such inputs are kept in --keep.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from support.fuzzing.sandbox import Found, Subject, fuzz

_MODELS_WEIGHT = 3  # of the time, against 1: a model takes tens of milliseconds, the others one


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seconds", type=float, default=240, help="for all kinds together")
    parser.add_argument("--most", type=int, default=10**9, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--keep", type=Path, default=Path("out/fuzz"), help="for failing inputs")
    options = parser.parse_args()
    options.keep.mkdir(parents=True, exist_ok=True)
    whole = Found()
    with TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        subjects = [s for s in all_subjects(Path(folder), options.seed) if options.only in s.name]
        for subject in subjects:
            seconds = options.seconds * _weight(subject) / sum(map(_weight, subjects))
            found = fuzz(subject, seconds, options.most, options.keep)
            print(f"{subject.name}: {found}", flush=True)
            for reason, number in found.failures.items():
                print(f"    input {number}: {reason}", flush=True)
            _add(whole, found)
    print(f"all kinds: {whole}")
    sys.exit(1 if whole.outcomes["failure"] else 0)


def all_subjects(scratch: Path, seed: int) -> list[Subject]:
    """Every kind of file that edgevit reads from outside."""
    from support.fuzzing import (
        damaged_pictures,
        data_sets,
        documents,
        model_files,
        stored_arrays,
    )

    modules = (damaged_pictures, documents, stored_arrays, data_sets, model_files)
    return [subject for module in modules for subject in module.subjects(scratch, seed)]


def _weight(subject: Subject) -> int:
    return _MODELS_WEIGHT if subject.name.startswith("model.onnx") else 1


def _add(whole: Found, found: Found) -> None:
    whole.outcomes += found.outcomes
    whole.failures |= found.failures
    whole.slowest_s = max(whole.slowest_s, found.slowest_s)
    whole.peak_mib = max(whole.peak_mib, found.peak_mib)


if __name__ == "__main__":
    main()
