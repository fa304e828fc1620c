"""Which pictures a model was trained on, and which were held out: beside its weights, by content.

``split.json`` lies in a run's folder and goes into the bundle that is exported from its weights,
so that accuracy can be measured on exactly the held-out pictures wherever they lie by then.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError
from edgevit.common.schema import plain_json, typed
from edgevit.common.storage.files import write_atomically
from edgevit.common.storage.hashes import sha256_of
from edgevit.common.untrusted.bounded import read_text
from edgevit.images.image_folder import ImageFolder
from edgevit.images.labelled_images import LabelledImages

SPLIT_FILE = "split.json"
_MOST_BYTES = 256 << 20
_TRAINED_DIGITS = 16  # of a SHA-256: a chance meeting among a million pictures is not to be feared


class PictureFiles(Protocol):
    """Labelled pictures that are files: of classes, with masks, with boxes."""

    @property
    def files(self) -> Sequence[Path]: ...

    def __len__(self) -> int: ...

    def part(self: AnyFiles, indices: NDArray[np.int64], /) -> AnyFiles:
        """Some of the pictures."""


AnyFiles = TypeVar("AnyFiles", bound=PictureFiles)


@dataclass(frozen=True)
class TrainingSplit:
    """held_out: SHA-256 of every picture that validated, by ``CLASS/FILE``, or by its path.

    trained_on: the first 16 digits of the SHA-256 of every picture that was trained on.
    weights_sha256: of the weights file that came of it.
    """

    held_out: Mapping[str, str]
    trained_on: tuple[str, ...]
    weights_sha256: str
    schema: int = 1

    @classmethod
    def of(
        cls, training: Iterable[Path], held_out: Mapping[str, Path], weights: Path
    ) -> TrainingSplit:
        """Reads every picture once. held_out: the pictures that validated, by name."""
        trained = sorted({sha256_of(file)[:_TRAINED_DIGITS] for file in training})
        held = {name: sha256_of(file) for name, file in held_out.items()}
        return cls(held, tuple(trained), sha256_of(weights))

    def write(self, folder: Path) -> None:
        """As ``split.json``, whole or not at all."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=True) + "\n"
        write_atomically(folder / SPLIT_FILE, lambda aside: aside.write_text(text, "utf-8"))

    def held_out_of(self, folder: AnyFiles) -> AnyFiles:
        """The pictures of a folder that were held out, by their content.

        Raises:
            InputError: some of those that were held out are not in it.
        """
        wanted = set(self.held_out.values())
        found = [sha256_of(file) for file in folder.files]
        there = set(found)
        missing = [name for name, sha256 in self.held_out.items() if sha256 not in there]
        if missing:
            raise InputError(
                f"{len(missing)} of the {len(self.held_out)} held-out images are not in --data, "
                f"such as {missing[0]}. Give the folder that the model was trained on."
            )
        return folder.part(np.flatnonzero([sha256 in wanted for sha256 in found]))

    def trained_in(self, folder: PictureFiles) -> list[Path]:
        """The pictures of a folder that the model was trained on."""
        known = set(self.trained_on)
        return [file for file in folder.files if sha256_of(file)[:_TRAINED_DIGITS] in known]


def write_split(
    training: LabelledImages, validation: LabelledImages, weights: Path, run: Path
) -> None:
    """Writes ``split.json`` into a run's folder; pictures in archives have no files to know by."""
    if isinstance(training, ImageFolder) and isinstance(validation, ImageFolder):
        held_out = {
            f"{validation.classes[label]}/{file.name}": file
            for file, label in zip(validation.files, validation.labels, strict=True)
        }
        TrainingSplit.of(training.files, held_out, weights).write(run)


def dense_split(
    training: Sequence[Path], validation: Sequence[Path], weights: Path
) -> TrainingSplit:
    """The split of pictures that lie in no folders of classes; reads every picture once."""
    root = os.path.commonpath([file.parent.absolute() for file in validation])
    held_out = {file.absolute().relative_to(root).as_posix(): file for file in validation}
    return TrainingSplit.of(training, held_out, weights)


def read_split(file: Path) -> TrainingSplit:
    """Reads ``split.json``.

    Raises:
        InputError: it cannot be read, or is not what :class:`TrainingSplit` says.
    """
    text = read_text(file, _MOST_BYTES, SPLIT_FILE)
    try:
        return typed(TrainingSplit, plain_json(text), unknown_fields=True)
    except ValueError as error:
        raise InputError(f"{file} is damaged ({error}). Delete it, or train again.") from error


def split_beside(weights: Path) -> TrainingSplit | None:
    """The split of a run whose weights these are; None where nothing says it."""
    file = weights.parent / SPLIT_FILE
    if not file.is_file():
        return None
    split = read_split(file)
    return split if split.weights_sha256 == sha256_of(weights) else None
