"""Instructions of one answer on arm64, emulated: the native engine against ONNX Runtime.

    PYTHONPATH=benchmarks python -m engine.arm_instructions --qemu qemu-aarch64 \\
        --wheel onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_aarch64.whl
    ... --keep DIR   # keeps what was made there, and uses the models again
    ... --json

Times under an emulator mean nothing; instructions can be counted. They are no time either: a
processor takes more or less of it for an instruction, and waits for memory. Counted is all that
the processor's user mode executes from uint8 pixels to logits, on one thread, by all of a process
that answers 12 times, less that of one that answers twice, divided by ten. So neither opening a
model nor its first answers count. Ratios are to ``native-int8`` on the same processor.

Wanted: a QEMU that takes plugins (Debian 12's qemu-user), a C compiler, Zig (pip install ziglang),
ONNX Runtime's C headers (.ci/onnxruntime-headers) and its wheel for aarch64, and arm64's C library
(apt-get install libstdc++6-arm64-cross). ``make count-arm64`` fetches Zig and the wheel.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from edgevit.bundle.bundle import Bundle
from edgevit.common.console import print_json, print_table
from edgevit.common.errors import EdgevitError, InputError, options_as_typed
from edgevit_export.native.compile_native import compile_native
from engine.arm_programs import (
    FETCHING,
    native_program,
    onnxruntime_library,
    onnxruntime_program,
)
from engine.emulator import Emulator, open_emulator
from engine.made_bundles import copy_prebuilt, made_once, quantize_roughly

PROCESSORS = ("cortex-a72", "cortex-a76")  # without and with the dot products of Armv8.2
OURS = "native-int8"
FEW, MANY = 2, 12  # answers of the two processes whose difference is counted
_QDQ = "onnx-int8-native"  # convolutions are in 8 bits too, as in what the engine is compiled from
_LIBRARIES = Path("/usr/aarch64-linux-gnu")


@dataclass(frozen=True)
class Contestant:
    """A form of the model and a program that answers with it, but for the number of answers."""

    runtime: str
    form: str
    command: tuple[object, ...]


@dataclass(frozen=True)
class Counted:
    """What one answer takes.

    instructions: per answer, the median of the rounds.
    spread_percent: between the lowest and the highest round, of the median.
    kernels: the engine's instruction set.
    best: index of the class with the largest logit.
    """

    instructions: float
    spread_percent: float
    kernels: str
    best: int


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if not (arguments.libraries / "lib").is_dir():
            raise InputError(
                f"{arguments.libraries} has no lib with arm64's C library: "
                "apt-get install libstdc++6-arm64-cross"
            )
        emulator = open_emulator(arguments.qemu, folder, arguments.libraries)
        contestants = list(_contestants(folder, arguments.wheel))
        rows = _rows(emulator, contestants, arguments.cpu, arguments.rounds)
    conditions = {
        "emulator": emulator.name,
        "onnxruntime": arguments.wheel.name.split("-")[1],
        "answers": MANY - FEW,
        "rounds": arguments.rounds,
    }
    results = {"rows": rows, "conditions": conditions}
    if arguments.json:
        print_json(results)
    else:
        _print(results)


def _rows(
    emulator: Emulator, contestants: Sequence[Contestant], processors: Sequence[str], rounds: int
) -> list[dict[str, Any]]:
    rows = []
    for processor in processors:
        counts = [counted(emulator, processor, each.command, rounds) for each in contestants]
        if len({count.best for count in counts}) > 1:
            raise EdgevitError(f"not all forms name the same class: {[c.best for c in counts]}")
        forms = [each.form for each in contestants]
        ours = counts[forms.index(OURS)].instructions
        rows += [
            {
                "runtime": contestant.runtime,
                "form": contestant.form,
                "processor": processor,
                "kernels": count.kernels,
                "instructions_per_answer": round(count.instructions),
                "spread_percent": round(count.spread_percent, 3),
                "ratio": round(count.instructions / ours, 3),
            }
            for contestant, count in zip(contestants, counts, strict=True)
        ]
    return rows


def counted(emulator: Emulator, processor: str, command: Sequence[object], rounds: int) -> Counted:
    """Instructions of an answer of a program whose last word is the number of answers.

    Raises:
        EdgevitError: the program failed, or QEMU did.
    """
    found, printed = [], ""
    for _ in range(rounds):
        few, _ = emulator.count(processor, [*command, FEW])
        many, printed = emulator.count(processor, [*command, MANY])
        found.append((many - few) / (MANY - FEW))
    middle = statistics.median(found)
    best, _, kernels = printed.split()
    return Counted(middle, 100 * (max(found) - min(found)) / middle, kernels, int(best))


def _contestants(folder: Path, wheel: Path) -> Iterator[Contestant]:
    library = onnxruntime_library(wheel, folder)
    theirs, ours = onnxruntime_program(folder), native_program(folder)
    bundle = Bundle.open(_bundle(folder))
    picture = folder / "picture.rgb"
    picture.write_bytes(bundle.reference().images[0].tobytes())
    for form, source in ((OURS, _QDQ), ("native-fp32", "float")):
        plan = folder / f"{form}.native"
        plan.write_bytes(compile_native(onnx.load(bundle.variant(source))))
        yield Contestant("libedgevit", form, (ours, plan, picture))
    for form in ("onnx-int8-arm", _QDQ, "float"):
        model = bundle.variant(form)
        yield Contestant("ONNX Runtime", form, (theirs, library, model, picture))


def _bundle(folder: Path) -> Path:
    """The shipped lla_tiny with both forms of INT8; accuracy is no subject here."""

    def make(aside: Path) -> None:
        copy_prebuilt(aside)
        quantize_roughly(aside, ["onnxruntime-arm", "native"], "--force")

    return made_once(folder / "lla_tiny.edgevit", make)


def _print(results: dict[str, Any]) -> None:
    columns = ("runtime", "form", "processor", "kernels", "million instructions", "ratio")
    table = [
        (
            row["runtime"],
            row["form"],
            row["processor"],
            row["kernels"],
            f"{row['instructions_per_answer'] / 1e6:.2f}",
            f"{row['ratio']:.2f}",
        )
        for row in results["rows"]
    ]
    title = "One answer of lla_tiny under {emulator}, ONNX Runtime {onnxruntime}"
    print_table(title.format(**results["conditions"]), columns, table, numeric=columns[4:])
    spread = max(row["spread_percent"] for row in results["rows"])
    rounds = results["conditions"]["rounds"]
    print(f"Medians of {rounds} rounds, which differ by {spread:.3f} % at most.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--qemu", default="qemu-aarch64", help="with plugins")
    parser.add_argument("--wheel", type=Path, required=True, help=FETCHING)
    parser.add_argument("--libraries", type=Path, default=_LIBRARIES, help="with arm64's lib")
    parser.add_argument("--cpu", nargs="+", default=PROCESSORS, help="as QEMU names them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="a folder for models and programs")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    with options_as_typed():
        try:
            main()
        except EdgevitError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(error.exit_code)
