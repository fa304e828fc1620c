"""A teacher's answers to the crops that a student will see, computed once and kept on disk.

A teacher costs more than a small student. Crops come from a fixed number of views, so an answer is
computed once for every picture and view, and serves all epochs, and all students that are trained
with the same crops.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError
from edgevit.common.progress import Progress
from edgevit.common.storage.cache import cache_folder
from edgevit.common.storage.files import write_atomically
from edgevit.common.untrusted.parsers import parsing
from edgevit.images.labelled_images import LabelledImages
from edgevit.inference.answers import class_places, softmax
from edgevit.inference.batches import infer_all
from edgevit.inference.runner import Runner
from edgevit.training.data import Batch, BatchLoader
from edgevit.training.recipe import Recipe
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.interface.tensors import LOGITS
from edgevit.zoo.spec import is_stage_map


@dataclass(frozen=True)
class Teacher:
    """A classifier in some runtime: ``runner`` maps uint8 [B, H, W, 3] to logits over ``classes``.

    weights: changes with them, such as the hash of the file.
    """

    runner: Runner
    classes: tuple[str, ...]
    weights: str

    @property
    def identity(self) -> str:
        """Changes with the weights and with what the answers are called."""
        return hashlib.sha256(f"{self.weights} {self.classes}".encode()).hexdigest()

    def columns_of(self, classes: tuple[str, ...]) -> NDArray[np.int64]:
        """Where the student's classes are among the teacher's.

        Raises:
            InputError: the teacher does not know some of them; they are named.
        """
        remedy = "Name the class folders as the teacher does, or take another teacher."
        return class_places(classes, self.classes, "The teacher", "classes", remedy)

    @property
    def size_px(self) -> int:
        """The side of the pictures it takes."""
        return int(self.runner.inputs[0].shape[1])

    @property
    def maps(self) -> dict[str, int]:
        """Channels of the feature maps that it gives, by name."""
        return {o.name: int(o.shape[1]) for o in self.runner.outputs if is_stage_map(o.name)}

    def answers(self, pictures: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        """Any number of pictures to logits [B, its classes] and feature maps [B, C, H, W]."""
        return infer_all(self.runner, pictures, (LOGITS, *self.maps))


@dataclass(frozen=True)
class View:
    """A teacher's answers to one crop of every picture of a folder.

    shares: float32 [images, classes], rows add up to 1.
    maps: float16 [images, C, H, W] by name; on disk, and read as they are asked for.
    """

    shares: NDArray[np.float32]
    maps: dict[str, NDArray[np.float16]]

    def maps_of(self, batch: Batch) -> dict[str, NDArray[np.float32]]:
        """What it sees of these pictures, mirrored where they are; nothing of mixed ones."""
        if batch.mix is not None and not batch.mix.is_plain:
            return {}
        seen = {name: table[batch.indices].astype(np.float32) for name, table in self.maps.items()}
        if batch.flipped is not None:
            for array in seen.values():
                array[batch.flipped] = array[batch.flipped, ..., ::-1]
        return seen


class TeacherAnswers:
    """Answers by view, for one folder, recipe and teacher.

    Args:
        maps: which of the teacher's feature maps are kept too.

    Raises:
        InputError: the teacher does not know the folder's classes.
    """

    def __init__(
        self,
        teacher: Teacher,
        folder: LabelledImages,
        recipe: Recipe,
        threads: int,
        maps: Iterable[str] = (),
    ) -> None:
        self.teacher, self.recipe, self.maps = teacher, recipe, tuple(maps)
        self.columns = teacher.columns_of(folder.classes)
        self.loader = BatchLoader(folder, Preprocess(teacher.size_px), 64, threads)
        self.cache = _cache_folder(teacher, folder, recipe)
        self._read: tuple[int, View] | None = None

    def view(
        self, number: int, progress: Progress, stop: Callable[[], None] = lambda: None
    ) -> View:
        """What the teacher says of one crop of every picture; asked only once.

        Args:
            stop: called after every batch; it may raise to end the work.
        """
        if self._read is None or self._read[0] != number:
            kept = {name: self._file(number, name) for name in (LOGITS, *self.maps)}
            if not all(file.is_file() for file in kept.values()):
                self._ask(number, kept, progress, stop)
            loaded = {name: _load(file) for name, file in kept.items()}
            shares = softmax(loaded.pop(LOGITS).astype(np.float32))
            self._read = number, View(shares, loaded)
        return self._read[1]

    def _file(self, number: int, output: str) -> Path:
        return self.cache / f"view_{number:03d}.{output}.npy"

    def _ask(
        self, number: int, kept: dict[str, Path], progress: Progress, stop: Callable[[], None]
    ) -> None:
        label = f"teacher view {number + 1}/{self.recipe.teacher_views}"
        parts: dict[str, list[NDArray[np.float16]]] = {name: [] for name in kept}
        with progress.bar(label, len(self.loader.folder)) as advance:
            for batch in self.loader.crops(self.recipe, number, self.teacher.size_px):
                answers = self.teacher.answers(batch.images)
                answers[LOGITS] = answers[LOGITS][:, self.columns]
                for name, collected in parts.items():
                    collected.append(answers[name].astype(np.float16))
                advance(len(batch.images))
                stop()
        tables = {name: np.concatenate(collected) for name, collected in parts.items()}
        right = (tables[LOGITS].argmax(axis=1) == np.asarray(self.loader.folder.labels)).mean()
        progress.line(f"{label}  the teacher is right on {100 * right:.1f} %")
        self.cache.mkdir(parents=True, exist_ok=True)
        for name, file in kept.items():
            write_atomically(file, partial(_save, tables[name]))


def _save(table: NDArray[np.float16], aside: Path) -> None:
    with aside.open("wb") as handle:
        np.save(handle, table)


def _load(file: Path) -> NDArray[np.float16]:
    """Not read into memory: feature maps of ten thousand pictures are hundreds of megabytes."""
    with parsing(
        lambda _: InputError(
            f"{file} holds a teacher's answers and is damaged. Delete it; it is made again."
        )
    ):
        table: NDArray[np.float16] = np.load(file, mmap_mode="r", allow_pickle=False)
    return table


def _cache_folder(teacher: Teacher, folder: LabelledImages, recipe: Recipe) -> Path:
    """Named by everything that the answers depend on."""
    parts = (
        teacher.identity,
        teacher.size_px,
        folder.fingerprint,
        recipe.seed,
        recipe.crop_area,
        recipe.crop_aspect,
    )
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return cache_folder() / f"teacher-{key}"
