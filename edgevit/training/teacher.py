"""A teacher's answers to the crops that a student will see, computed once and kept on disk.

A teacher costs more than a small student. Crops come from a fixed number of views, so an answer is
computed once for every picture and view, and serves all epochs, and all students that are trained
with the same crops.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevit.answers import class_places, softmax
from edgevit.errors import InputError
from edgevit.files import cache_folder, write_atomically
from edgevit.image_folder import ImageFolder
from edgevit.progress import Progress
from edgevit.runner import Runner, batch_size, full_batches
from edgevit.spec import IMAGE_INPUT, LOGITS
from edgevit.training.data import BatchLoader
from edgevit.training.recipe import Recipe


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

    def logits(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """float32 [B, its classes], of any number of pictures."""
        size = batch_size(self.runner.inputs, len(pictures))
        answers = [
            self.runner.infer({IMAGE_INPUT: pictures[places]})[LOGITS]
            for places in full_batches(len(pictures), size)
        ]
        return np.concatenate(answers)[: len(pictures)]


class TeacherAnswers:
    """Softmax answers by view, for one folder, recipe and teacher.

    Raises:
        InputError: the teacher does not know the folder's classes.
    """

    def __init__(self, teacher: Teacher, folder: ImageFolder, recipe: Recipe, threads: int) -> None:
        self.teacher, self.recipe = teacher, recipe
        self.columns = teacher.columns_of(folder.classes)
        self.loader = BatchLoader(folder, teacher.size_px, 64, threads)
        self.cache = _cache_folder(teacher, folder, recipe)
        self._view = -1
        self._shares: NDArray[np.float32] = np.empty((0, 0), np.float32)

    def shares(
        self, view: int, progress: Progress, stop: Callable[[], None] = lambda: None
    ) -> NDArray[np.float32]:
        """float32 [images of the folder, classes], rows add up to 1.

        Args:
            stop: called after every batch; it may raise to end the work.
        """
        if view != self._view:
            file = self.cache / f"view_{view:03d}.npy"
            if not file.is_file():
                self._answer(view, file, progress, stop)
            self._shares = softmax(_load(file).astype(np.float32))
            self._view = view
        return self._shares

    def _answer(self, view: int, file: Path, progress: Progress, stop: Callable[[], None]) -> None:
        label = f"teacher view {view + 1}/{self.recipe.teacher_views}"
        answers = []
        with progress.bar(label, len(self.loader.folder)) as advance:
            for batch in self.loader.crops(self.recipe, view, self.teacher.size_px):
                answers.append(self.teacher.logits(batch.images)[:, self.columns])
                advance(len(batch.images))
                stop()
        logits = np.concatenate(answers).astype(np.float16)
        right = (logits.argmax(axis=1) == np.asarray(self.loader.folder.labels)).mean()
        progress.line(f"{label}  {100 * right:.1f} % right")
        self.cache.mkdir(parents=True, exist_ok=True)

        def save(aside: Path) -> None:
            with aside.open("wb") as handle:
                np.save(handle, logits)

        write_atomically(file, save)


def _load(file: Path) -> NDArray[np.float16]:
    try:
        logits: NDArray[np.float16] = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise InputError(
            f"{file} holds a teacher's answers and is damaged. Delete it; it is made again."
        ) from error
    return logits


def _cache_folder(teacher: Teacher, folder: ImageFolder, recipe: Recipe) -> Path:
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
