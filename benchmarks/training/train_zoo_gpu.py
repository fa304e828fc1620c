"""Trains the zoo on one GPU in short stages, most useful run first; every stage can be resumed.

    python benchmarks/training/train_zoo_gpu.py pack SHARDS imagenette=FOLDER tiny_imagenet=FOLDER
    python benchmarks/training/train_zoo_gpu.py train SHARDS RESULTS --output NEW --minutes 4
    python benchmarks/training/train_zoo_gpu.py collect RESULTS --output weights

``pack`` (on a workstation) puts the pictures of ``FOLDER/train`` and ``FOLDER/val`` into files of
at most 30 MiB, and the teacher beside them. ``train`` needs torch, numpy and OpenCV alone. It does
what is first in the plan (edgevit/training/gpu/plan.py) and not yet in RESULTS, until the time
is up, and leaves in NEW: a line in ``rows.NUMBER.jsonl`` for every run that ended, its weights, and
the state of the one that did not, all in files of at most 15 MiB. Copy NEW's files into RESULTS and
call it again. ``collect`` makes ``.safetensors`` files for ``edgevit export --checkpoint``.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgevit.common.errors import EdgevitError, InputError
from edgevit.training.gpu.folded_teacher import FoldedNetwork, load_teacher
from edgevit.training.gpu.plan import Run, plan, run_named
from edgevit.training.gpu.run import GpuRun, Job
from edgevit.training.gpu.shards import Encoding, Pictures, pack, unpack
from edgevit.training.gpu.states import load_parts, save_parts

ROWS = "rows.{}.jsonl"
TEACHER = "teacher.pt"
_SPARE_S = 15  # for validation and writing, after the last epoch


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    packing = commands.add_parser("pack", help="pictures and teacher into shards")
    packing.add_argument("shards", type=Path)
    packing.add_argument("sets", nargs="+", help="NAME=FOLDER, the folder with train/ and val/")
    packing.add_argument("--side", type=int, help="shrink training pictures to this side")
    packing.add_argument("--quality", type=int, default=85, help="of WebP, with --side")
    packing.add_argument("--no-teacher", action="store_true")
    packing.set_defaults(does=_pack)
    training = commands.add_parser("train", help="what is next in the plan")
    training.add_argument("shards", type=Path)
    training.add_argument("results", type=Path, help="what earlier calls left")
    training.add_argument("--output", type=Path, required=True)
    training.add_argument("--minutes", type=float, default=4.0)
    training.add_argument("--only", nargs="*", default=[], help="runs by name, or their beginning")
    training.add_argument("--epochs", type=int, help="fewer, to try it out")
    training.add_argument("--store-px", type=int, default=224, help="side of pictures in memory")
    training.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    training.set_defaults(does=_train)
    collecting = commands.add_parser("collect", help="weights to .safetensors")
    collecting.add_argument("results", type=Path)
    collecting.add_argument("--output", type=Path, required=True)
    collecting.set_defaults(does=_collect)
    arguments = parser.parse_args()
    try:
        arguments.does(arguments)
    except EdgevitError as error:
        sys.exit(f"error: {error}")


def _pack(arguments: argparse.Namespace) -> None:
    for pair in arguments.sets:
        name, _, folder = pair.partition("=")
        smaller = None if arguments.side is None else Encoding(arguments.side, arguments.quality)
        for part, encoding in (("train", smaller), ("val", None)):
            shards = pack(Path(folder) / part, arguments.shards, f"{name}.{part}", encoding)
            size = sum(shard.stat().st_size for shard in shards) / 2**20
            print(f"{name}.{part}: {len(shards)} shards, {size:.0f} MiB")
    if not arguments.no_teacher:
        from edgevit_export.convert.efficientnet_lite import folded_layers

        torch.save(folded_layers(), arguments.shards / TEACHER)


def _train(arguments: argparse.Namespace) -> None:
    deadline = time.monotonic() + 60 * arguments.minutes - _SPARE_S
    arguments.output.mkdir(parents=True, exist_ok=True)
    data = _Data(arguments.shards, arguments.store_px)
    for run in _remaining(arguments):
        if time.monotonic() >= deadline:
            return
        started = _started(run, arguments, data)
        if not started.train(deadline, _say):
            if started.epoch:
                started.save(arguments.output)
            _say(f"{run.name}  the time is up; after epoch {started.epoch}")
            return
        row = started.row()
        if run.keeps_weights:
            save_parts(arguments.output, f"{run.name}.weights", started.weights())
        with _rows_file(arguments).open("a", encoding="utf-8") as rows:
            rows.write(json.dumps(row) + "\n")
        _say(f"{run.name}  top-1 {100 * row['val_top1']:.2f} %  in {row['seconds']} s")


def _remaining(arguments: argparse.Namespace) -> Iterator[Run]:
    done = {row["run"] for folder in _folders(arguments) for row in _rows(folder)}
    for run in plan():
        wanted = not arguments.only or run.name.startswith(tuple(arguments.only))
        if wanted and run.name not in done:
            epochs = arguments.epochs or run.recipe.epochs
            yield replace(run, recipe=replace(run.recipe, epochs=epochs))


def _started(run: Run, arguments: argparse.Namespace, data: _Data) -> GpuRun:
    """A run from its beginning, or from the state that an earlier call left."""
    start = None
    if run.init is not None:
        start = _first(arguments, f"{run.init}.weights")
        if start is None:
            raise InputError(f"{run.name} starts from {run.init}, whose weights are not there.")
    training, validation = data.of(run)
    teacher = data.teacher() if run.taught else None
    begun = GpuRun(Job(run, training, validation, arguments.device, start, teacher))
    if any(begun.restore(folder) for folder in _folders(arguments)):
        _say(f"{run.name}  goes on after epoch {begun.epoch}")
    return begun


def _folders(arguments: argparse.Namespace) -> tuple[Path, Path]:
    """Where earlier results are; this call's own come first."""
    return arguments.output, arguments.results


def _first(arguments: argparse.Namespace, name: str) -> dict[str, torch.Tensor] | None:
    found = (load_parts(folder, name) for folder in _folders(arguments))
    return next((tensors for tensors in found if tensors is not None), None)


class _Data:
    """Shards, decoded when a run first asks for them."""

    def __init__(self, shards: Path, store_px: int) -> None:
        self.shards, self.store_px = shards, store_px
        self._kept: dict[tuple[str, int], Pictures] = {}

    def of(self, run: Run) -> tuple[Pictures, Pictures]:
        stored = self.store_px if run.spec.image_px > 64 else min(self.store_px, 64)
        training = self._read(f"{run.data}.train", min(stored, _NATIVE_PX.get(run.data, stored)))
        validation = self._read(f"{run.data}.val", run.answer_px)
        return _chosen(training, run, run.per_class), _chosen(validation, run, None)

    def teacher(self) -> FoldedNetwork | None:
        return load_teacher(self.shards / TEACHER)

    def _read(self, name: str, size_px: int) -> Pictures:
        key = (name, size_px)
        if key not in self._kept:
            self._kept[key] = unpack(self.shards, name, size_px)
            _say(f"{name}  {len(self._kept[key].labels)} pictures of {size_px} px")
        return self._kept[key]


_NATIVE_PX = {"tiny_imagenet": 64}  # stored smaller than most models' pictures


def _chosen(pictures: Pictures, run: Run, per_class: int | None) -> Pictures:
    """The run's classes, and so many pictures of each, the first ones."""
    last = len(pictures.classes) if run.classes is None else run.first_class + run.classes
    if run.first_class == 0 and last >= len(pictures.classes) and per_class is None:
        return pictures
    places = []
    for label in range(run.first_class, last):
        places.append(np.flatnonzero(pictures.labels == label)[:per_class])
    order = np.concatenate(places)
    classes = pictures.classes[run.first_class : last]
    return Pictures(pictures.pixels[order], pictures.labels[order] - run.first_class, classes)


def _collect(arguments: argparse.Namespace) -> None:
    from edgevit.models.build import build
    from edgevit.models.checkpoint import save_checkpoint
    from edgevit.training.gpu.run import fitting

    arguments.output.mkdir(parents=True, exist_ok=True)
    for row in _rows(arguments.results):
        run = run_named(row["run"])
        tensors = load_parts(arguments.results, f"{run.name}.weights")
        if tensors is None:
            continue
        classes = tuple(row.pop("classes"))
        module = build(run.answering_spec.with_classes(len(classes)))
        module.load_state_dict({**module.state_dict(), **fitting(module, tensors)})
        notes = {"val_top1": f"{row['val_top1']:.4f}", "recipe": json.dumps(row)}
        path = arguments.output / f"{run.name}.safetensors"
        save_checkpoint(path, module, run.spec.name.partition("@")[0], classes, notes)
        print(path)


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
