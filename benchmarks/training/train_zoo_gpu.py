"""Trains the zoo on one GPU in short stages, most useful run first; every stage can be resumed.

    python benchmarks/training/train_zoo_gpu.py pack SHARDS imagenette=FOLDER tiny_imagenet=FOLDER
    python benchmarks/training/train_zoo_gpu.py adapt-teacher SHARDS tiny_imagenet
    python benchmarks/training/train_zoo_gpu.py train SHARDS RESULTS --output NEW --minutes 4
    python benchmarks/training/train_zoo_gpu.py collect RESULTS --output weights

``pack`` (on a workstation) puts the pictures of ``FOLDER/train`` and ``FOLDER/val`` into files of
at most 30 MiB, and the teacher and weights to start from beside them. What follows needs torch,
numpy and OpenCV alone. ``adapt-teacher`` trains the teacher on a set that it shall teach. ``train``
does what is first in the plan (edgevit/training/gpu/plan.py) and not yet in
RESULTS, until the time is up, and leaves in NEW: a line in ``rows.NUMBER.jsonl`` for every run
that ended, its weights, and the state of the one that did not, all in files of at most 15 MiB.
Copy NEW's files into RESULTS and call it again. Several calls with ``--runs`` of their own may
share one GPU. ``speed`` says how fast runs train there. ``collect`` makes ``.safetensors`` files
for ``edgevit export --checkpoint``.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgevit.common.errors import EdgevitError, InputError
from edgevit.common.storage.files import write_atomically
from edgevit.training.gpu import adapted_teacher
from edgevit.training.gpu.adapted_teacher import adapted
from edgevit.training.gpu.folded_teacher import FoldedNetwork, accuracy_of, load_teacher
from edgevit.training.gpu.plan import Run, plan, run_named
from edgevit.training.gpu.run import GpuRun, Job
from edgevit.training.gpu.shards import Encoding, Pictures, pack, unpack
from edgevit.training.gpu.states import load_parts, save_parts

ROWS = "rows.{}.jsonl"
TEACHER = "teacher.pt"
ADAPTED_TEACHER = "teacher.{}.pt"
_DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
_SPARE_S = 15  # for validation and writing, after the last epoch


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    packing = commands.add_parser("pack", help="pictures and teacher into shards")
    packing.add_argument("shards", type=Path)
    packing.add_argument("sets", nargs="+", help="NAME=FOLDER, the folder with train/ and val/")
    packing.add_argument("--side", type=int, help="shrink pictures to this side")
    packing.add_argument("--quality", type=int, default=85, help="of WebP, with --side")
    packing.add_argument("--no-teacher", action="store_true")
    packing.add_argument("--weights", nargs="*", default=[], help="NAME=CHECKPOINT to start from")
    packing.set_defaults(does=_pack)
    adapting = commands.add_parser("adapt-teacher", help="train the teacher on a set")
    adapting.add_argument("shards", type=Path)
    adapting.add_argument("set", help="its name")
    adapting.add_argument("--epochs", type=int, default=adapted_teacher.RECIPE.epochs)
    adapting.add_argument("--device", default=_DEVICE)
    adapting.set_defaults(does=_adapt)
    timing = commands.add_parser("speed", help="pictures a second that runs are trained with")
    timing.add_argument("shards", type=Path)
    timing.add_argument("--runs", nargs="+", required=True, type=_Wanted)
    timing.add_argument("--epochs", type=int, default=1, help="after a first one")
    timing.add_argument("--per-class", type=int, help="how many pictures of each class")
    timing.add_argument("--store-px", type=int, default=224, help="side of pictures in memory")
    timing.add_argument("--device", default=_DEVICE)
    timing.set_defaults(does=_speed)
    training = commands.add_parser("train", help="what is next in the plan")
    training.add_argument("shards", type=Path)
    training.add_argument("results", type=Path, help="what earlier calls left")
    training.add_argument("--output", type=Path, required=True)
    training.add_argument("--minutes", type=float, default=4.0)
    training.add_argument(
        "--runs",
        nargs="*",
        default=[],
        type=_Wanted,
        help="these, in this order: NAME, NAME=30 for 30 epochs, or NAME=90s for what fits in 90 s",
    )
    training.add_argument("--store-px", type=int, default=224, help="side of pictures in memory")
    training.add_argument("--device", default=_DEVICE)
    training.set_defaults(does=_train)
    collecting = commands.add_parser("collect", help="weights to .safetensors")
    collecting.add_argument("results", type=Path)
    collecting.add_argument("--output", type=Path, required=True)
    collecting.add_argument(
        "--val", nargs="*", default=[], help="NAME=FOLDER: validate again, on unshrunk pictures"
    )
    collecting.set_defaults(does=_collect)
    arguments = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    try:
        arguments.does(arguments)
    except EdgevitError as error:
        sys.exit(f"error: {error}")


def _pack(arguments: argparse.Namespace) -> None:
    for pair in arguments.sets:
        name, _, folder = pair.partition("=")
        encoding = None if arguments.side is None else Encoding(arguments.side, arguments.quality)
        for part in ("train", "val"):
            shards = pack(Path(folder) / part, arguments.shards, f"{name}.{part}", encoding)
            size = sum(shard.stat().st_size for shard in shards) / 2**20
            print(f"{name}.{part}: {len(shards)} shards, {size:.0f} MiB")
    if not arguments.no_teacher:
        from edgevit_export.convert.efficientnet_lite import folded_layers

        torch.save(folded_layers(), arguments.shards / TEACHER)
    for pair in arguments.weights:
        from edgevit.models.checkpoint import read_checkpoint

        name, _, checkpoint = pair.partition("=")
        tensors = read_checkpoint(Path(checkpoint)).tensors
        halves = {key: value.half() for key, value in tensors.items()}
        save_parts(arguments.shards, f"{name}.weights", halves)


def _adapt(arguments: argparse.Namespace) -> None:
    data = _Data(arguments.shards, adapted_teacher.SIZE_PX)
    recipe = replace(adapted_teacher.RECIPE, epochs=arguments.epochs)
    pictures, device = data.whole(arguments.set), arguments.device
    before = load_teacher(arguments.shards / TEACHER)
    after = adapted(before, pictures, recipe, device, _say)
    path = arguments.shards / ADAPTED_TEACHER.format(arguments.set)
    write_atomically(path, partial(torch.save, after.content()))
    validation = data.validation(arguments.set, adapted_teacher.SIZE_PX)
    right = [100 * accuracy_of(teacher, validation, device) for teacher in (before, after)]
    _say(f"{path}  top-1 {right[1]:.1f} %, {right[0]:.1f} before")


def _speed(arguments: argparse.Namespace) -> None:
    data = _Data(arguments.shards, arguments.store_px)
    for wanted in arguments.runs:
        run = replace(run_named(wanted.name), init=None, per_class=arguments.per_class)
        started = _new(run, arguments, data)
        rate = started.epochs.pictures_per_second(started.recipe, arguments.epochs)
        _say(f"{wanted.name}  {rate:.0f} pictures/s")


def _train(arguments: argparse.Namespace) -> None:
    deadline = time.monotonic() + 60 * arguments.minutes - _SPARE_S
    arguments.output.mkdir(parents=True, exist_ok=True)
    data = _Data(arguments.shards, arguments.store_px)
    for run, seconds in _remaining(arguments):
        if time.monotonic() >= deadline:
            return
        if not _finished(_started(run, arguments, data), arguments, deadline, seconds):
            return
        gc.collect()  # the step that a run recorded refers to the run, so its pictures would stay


def _finished(
    started: GpuRun, arguments: argparse.Namespace, deadline: float, seconds: float | None
) -> bool:
    """Trains a run and writes its results; False if the time was up before its last epoch."""
    run = started.run
    if not started.train(deadline, _say, seconds):
        if started.epoch:
            started.save(arguments.output)
        _say(f"{run.name}  the time is up; after epoch {started.epoch}")
        return False
    row = started.row()
    if run.keeps_weights:
        save_parts(arguments.output, f"{run.name}.weights", started.weights())
    with _rows_file(arguments).open("a", encoding="utf-8") as rows:
        rows.write(json.dumps(row) + "\n")
    _say(f"{run.name}  top-1 {100 * row['val_top1']:.2f} %  in {row['seconds']} s")
    return True


class _Wanted:
    """A run as ``--runs`` names it: NAME, NAME=30 (epochs) or NAME=90s (seconds)."""

    def __init__(self, text: str) -> None:
        self.name, _, much = text.partition("=")
        if self.name not in (run.name for run in plan()):
            raise argparse.ArgumentTypeError(f"the plan has no run '{self.name}'")
        seconds, number = much.endswith("s"), much.removesuffix("s")
        if much and not (number.isdecimal() and int(number)):
            raise argparse.ArgumentTypeError(
                f"expected NAME=30 (epochs) or NAME=90s, above 0, got '{text}'"
            )
        self.seconds = float(number) if seconds else None
        self.epochs = int(number) if much and not seconds else None


def _remaining(arguments: argparse.Namespace) -> Iterator[tuple[Run, float | None]]:
    """Runs that have not ended, and for how long to train them, if not for all their epochs."""
    done = {row["run"] for folder in _folders(arguments) for row in _rows(folder)}
    for wanted in arguments.runs or [_Wanted(run.name) for run in plan()]:
        run = run_named(wanted.name)
        if run.name not in done:
            epochs = wanted.epochs or run.recipe.epochs
            yield replace(run, recipe=replace(run.recipe, epochs=epochs)), wanted.seconds


def _started(run: Run, arguments: argparse.Namespace, data: _Data) -> GpuRun:
    """A run from its beginning, or from the state that an earlier call left."""
    begun = _new(run, arguments, data)
    if any(begun.restore(folder) for folder in _folders(arguments)):
        _say(f"{run.name}  goes on after epoch {begun.epoch}")
    return begun


def _new(run: Run, arguments: argparse.Namespace, data: _Data) -> GpuRun:
    start = None
    if run.init is not None:
        start = _first(arguments, f"{run.init}.weights")
        if start is None:
            raise InputError(f"{run.name} starts from {run.init}, whose weights are not there.")
    training, validation = data.of(run)
    teacher = data.teacher_of(run)
    return GpuRun(Job(run, training, validation, arguments.device, start, teacher))


def _folders(arguments: argparse.Namespace) -> tuple[Path, Path]:
    """Where earlier results are; this call's own come first."""
    return arguments.output, arguments.results


def _first(arguments: argparse.Namespace, name: str) -> dict[str, torch.Tensor] | None:
    found = (load_parts(folder, name) for folder in (*_folders(arguments), arguments.shards))
    return next((tensors for tensors in found if tensors is not None), None)


class _Data:
    """Shards, decoded when a run first asks for them."""

    def __init__(self, shards: Path, store_px: int) -> None:
        self.shards, self.store_px = shards, store_px
        self._kept: dict[tuple[str, int], Pictures] = {}

    def of(self, run: Run) -> tuple[Pictures, Pictures]:
        stored = self.store_px if run.spec.image_px > 64 else min(self.store_px, 64)
        training = self._read(f"{run.data}.train", min(stored, _NATIVE_PX.get(run.data, stored)))
        validation = self.validation(run.data, run.answer_px)
        return _chosen(training, run, run.per_class), _chosen(validation, run, None)

    def whole(self, name: str) -> Pictures:
        return self._read(f"{name}.train", min(self.store_px, _NATIVE_PX.get(name, self.store_px)))

    def validation(self, name: str, size_px: int) -> Pictures:
        return self._read(f"{name}.val", size_px)

    def teacher_of(self, run: Run) -> FoldedNetwork | None:
        if run.teacher == "none":
            return None
        if run.teacher == "imagenet":
            return load_teacher(self.shards / TEACHER)
        path = self.shards / ADAPTED_TEACHER.format(run.data)
        if not path.is_file():
            raise InputError(f"There is no teacher at {path}; 'adapt-teacher' trains it.")
        return load_teacher(path)

    def _read(self, name: str, size_px: int) -> Pictures:
        key = (name, size_px)
        if key not in self._kept:
            self._kept[key] = unpack(self.shards, name, size_px)
            _say(f"{name}  {len(self._kept[key].labels)} pictures of {size_px} px")
        return self._kept[key]


_NATIVE_PX = {"tiny_imagenet": 64}  # stored smaller than most models' pictures


def _chosen(pictures: Pictures, run: Run, per_class: int | None) -> Pictures:
    """The run's classes, and so many pictures of each, the first ones."""
    places = _places(pictures, run, per_class)
    first, last = _span(run, len(pictures.classes))
    labels = pictures.labels[places] - first
    return Pictures(pictures.pixels[places], labels, pictures.classes[first:last])


def _places(pictures: Pictures, run: Run, per_class: int | None) -> NDArray[np.int64]:
    """Where the run's pictures are among all of the set."""
    labels = range(*_span(run, len(pictures.classes)))
    return np.concatenate(
        [np.flatnonzero(pictures.labels == label)[:per_class] for label in labels]
    )


def _span(run: Run, classes: int) -> tuple[int, int]:
    """The run's first class and the one after its last."""
    return run.first_class, classes if run.classes is None else run.first_class + run.classes


def _collect(arguments: argparse.Namespace) -> None:
    from edgevit.models.build import build
    from edgevit.models.checkpoint import save_checkpoint
    from edgevit.training.gpu.run import accuracy, fitting
    from edgevit.training.gpu.shards import read_folder

    folders = dict(pair.split("=", 1) for pair in arguments.val)
    arguments.output.mkdir(parents=True, exist_ok=True)
    for row in _rows(arguments.results):
        tensors = load_parts(arguments.results, f"{row['run']}.weights")
        if tensors is None:
            continue
        run = _planned(row["run"])
        classes = tuple(row.pop("classes"))
        module = build(run.answering_spec.with_classes(len(classes)))
        fits = fitting(module, tensors)
        if len(fits) < len(tensors):
            raise InputError(f"The weights of {run.name} are of another model than the plan's.")
        module.load_state_dict({**module.state_dict(), **fits})
        if run.data in folders:
            whole = read_folder(Path(folders[run.data]), module.spec.image_px)
            row.update(accuracy(module, whole))
        notes = {"val_top1": f"{row['val_top1']:.4f}", "recipe": json.dumps(row)}
        path = arguments.output / f"{run.name}.safetensors"
        save_checkpoint(path, module, run.spec.name.partition("@")[0], classes, notes)
        print(f"{path}  top-1 {100 * row['val_top1']:.2f} %")


def _planned(name: str) -> Run:
    try:
        return run_named(name)
    except KeyError:
        raise InputError(
            f"{name} was trained by another plan; this one does not have it."
        ) from None


def _rows_file(arguments: argparse.Namespace) -> Path:
    """This call's own, which copying into the results replaces none of."""
    number = len(list(arguments.results.glob(ROWS.format("*"))))
    output: Path = arguments.output
    return output / ROWS.format(f"{number:03d}")


def _rows(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob(ROWS.format("*")))
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return [json.loads(line) for line in lines]


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
