"""Pictures and a PNG of labels for each: ``FOLDER/images/NAME.*`` and ``FOLDER/labels/NAME.png``.

A label is one byte a pixel, the number of its class; 255 and, where it is given, ``void`` are
pixels that are not counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError, some_of
from edgevit.common.progress import Progress
from edgevit.common.storage.hashes import sha256_of
from edgevit.common.untrusted.bounded import read_bytes
from edgevit.common.workers import workers
from edgevit.images import image_io
from edgevit.images.image_files import images_in
from edgevit.images.image_io import Image
from edgevit.images.picture_set import PictureSet, picture_set
from edgevit.zoo.tasks import VOID

IMAGES, LABELS = "images", "labels"
_MOST_LABEL_BYTES = 64 << 20
_PNG, _PNG_HEADER_BYTES = b"\x89PNG\r\n\x1a\n", 33  # signature and IHDR chunk
_PNG_COLOURS = {  # the format's colour types
    0: "a greyscale PNG",
    2: "a PNG in colours",
    3: "a PNG with a palette",
    4: "a greyscale PNG with transparency",
    6: "a PNG in colours with transparency",
}
_EXPECTED = f"Expected FOLDER/{IMAGES}/NAME.jpg and FOLDER/{LABELS}/NAME.png."
Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class MaskFolder:
    """files: pictures; labels: the PNG of each. void: a label that is not counted, beside 255.

    left_out: what was not used, by reason.
    """

    files: tuple[Path, ...]
    labels: tuple[Path, ...]
    void: int | None = None
    left_out: Mapping[str, tuple[Path, ...]] = field(default_factory=dict, compare=False)

    @classmethod
    def open(cls, root: Path, void: int | None = None) -> MaskFolder:
        """Pairs by name; a picture without labels, or labels without a picture, are left out.

        Raises:
            InputError: the two folders are not there, or have no name in common.
        """
        pictures, labels = root / IMAGES, root / LABELS
        if not pictures.is_dir() or not labels.is_dir():
            raise InputError(f"{root} has no folders '{IMAGES}' and '{LABELS}'. {_EXPECTED}")
        listed = images_in(pictures)
        pngs = (path for path in sorted(labels.iterdir()) if path.suffix.lower() == ".png")
        by_name = {path.stem: path for path in pngs}
        paired = [path for path in listed.files if path.stem in by_name]
        _refuse_twins(paired)
        if not paired:
            raise InputError(f"{root}: no picture has a label of its name. {_EXPECTED}")
        left_out = dict(listed.left_out)
        without = tuple(path for path in listed.files if path.stem not in by_name)
        known = {path.stem for path in paired}
        alone = tuple(path for name, path in by_name.items() if name not in known)
        left_out |= {"pictures without labels": without} if without else {}
        left_out |= {"labels without a picture": alone} if alone else {}
        return cls(tuple(paired), tuple(by_name[path.stem] for path in paired), void, left_out)

    def __len__(self) -> int:
        return len(self.files)

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the names and contents of pictures and labels."""
        digest = hashlib.sha256(repr(self.void).encode())
        for file in (*self.files, *self.labels):
            digest.update(f"{file.name} {sha256_of(file)}\n".encode())
        return f"{len(self)} pairs, {digest.hexdigest()[:16]}"

    def identity(self, name: str) -> PictureSet:
        """By which figures on the same pictures are known; ``name`` is for people."""
        return picture_set(name, self.files, [sha256_of(label) for label in self.labels])

    def part(self, places: NDArray[np.int64]) -> MaskFolder:
        """Some of the pairs."""
        return replace(
            self,
            files=tuple(self.files[place] for place in places),
            labels=tuple(self.labels[place] for place in places),
        )

    def hold_out(self, share: float, seed: int) -> tuple[MaskFolder, MaskFolder]:
        """(rest, held out): a seeded share.

        Raises:
            InputError: there is only one pair.
        """
        if len(self) < 2:
            raise InputError("There is one labelled picture, and some are held out. Add others.")
        order = np.random.default_rng(seed).permutation(len(self))
        held = max(1, round(share * len(self)))
        return self.part(np.sort(order[held:])), self.part(np.sort(order[:held]))

    def pair(self, place: int) -> tuple[Image, Labels]:
        """uint8 RGB [H, W, 3], and uint8 [H, W] with 255 for what is not counted.

        Raises:
            InputError: one cannot be read, or they differ in size.
        """
        picture = image_io.read(self.files[place])
        labels = read_labels(self.labels[place], self.void)
        if labels.shape != picture.shape[:2]:
            height, width = picture.shape[:2]
            raise InputError(
                f"{self.labels[place]} has {labels.shape[1]}x{labels.shape[0]} pixels, its picture "
                f"{width}x{height}. They must be of one size."
            )
        return picture, labels

    def checked(
        self, classes: int | None, skip_corrupt: bool, threads: int, progress: Progress
    ) -> tuple[MaskFolder, NDArray[np.int64]]:
        """Reads every pair once, so that what is wrong is found now and not in some epoch.

        Args:
            classes: how many there are; None: as many as the labels say.
            skip_corrupt: leave out pairs that cannot be used, and say which, instead of stopping.

        Returns:
            the pairs that can be used, and int64 [classes]: pixels of every class in them.

        Raises:
            InputError: pairs cannot be used and are not to be skipped, or none is left.
        """
        counts: list[NDArray[np.int64]] = []
        wrong: dict[int, str] = {}
        with workers(threads) as pool, progress.bar("check labels", len(self)) as bar:
            for place, found in enumerate(pool.map(self._counted, range(len(self)))):
                problem = (
                    found if isinstance(found, str) else _beyond(found, classes, self.labels[place])
                )
                if problem:
                    wrong[place] = problem
                counts.append(np.zeros(256, np.int64) if isinstance(found, str) else found)
                bar()
        if wrong:
            _report(wrong, len(self), skip_corrupt, progress)
        kept = np.array([place for place in range(len(self)) if place not in wrong], np.int64)
        if not len(kept):
            raise InputError("No labelled picture is left that can be used.")
        total = np.sum([counts[place] for place in kept], axis=0)[:VOID]
        if not total.any():
            raise InputError(
                f"No pixel of the {len(kept)} labels has a class: all of them are {VOID}, which is "
                "not counted, or the label of --void. Give labels of classes."
            )
        used = int(np.flatnonzero(total).max(initial=0)) + 1
        return self.part(kept), total[: classes or used]

    def _counted(self, place: int) -> NDArray[np.int64] | str:
        """int64 [256]: pixels of every label; or what is wrong."""
        try:
            return np.bincount(self.pair(place)[1].reshape(-1), minlength=256)
        except InputError as error:
            return str(error)


def read_labels(path: Path, void: int | None = None) -> Labels:
    """A PNG of one channel and 8 bits, uint8 [H, W]; ``void`` becomes 255.

    Raises:
        InputError: it cannot be read, or is another kind of picture.
    """
    data = read_bytes(path, _MOST_LABEL_BYTES, "label")
    if odd := _unlike_labels(data):
        raise InputError(
            f"{path} {odd}; a label is a greyscale PNG of 8 bits, the number of the class of every "
            "pixel. Save it as that."
        )
    image_io.decode(data, str(path))  # checks the header, and the size that it claims
    labels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2 or labels.dtype != np.uint8:
        raise InputError(f"{path} is damaged: it cannot be decoded as labels. Save it again.")
    found = np.asarray(labels, np.uint8)
    return found if void is None else np.where(found == void, np.uint8(VOID), found)


def open_mask_folder(path: Path, void: int | None, progress: Progress) -> MaskFolder:
    """Opens a folder, and says what was left out of it."""
    folder = MaskFolder.open(path, void)
    for reason, files in folder.left_out.items():
        progress.line(f"note: {path}: left out {len(files)} {reason}: {some_of(files)}")
    return folder


def _unlike_labels(data: bytes) -> str | None:
    """What a file is instead of a greyscale PNG of 8 bits.

    OpenCV would show colours of a palette, stretch fewer bits to 255, and blurred JPEGs as they
    are: numbers that are no classes.
    """
    if not data.startswith(_PNG):
        return "holds no PNG" if data else "is empty"
    depth, colour = (data[24], data[25]) if len(data) >= _PNG_HEADER_BYTES else (0, -1)
    if (depth, colour) == (8, 0):
        return None
    return f"holds {_PNG_COLOURS.get(colour, 'a damaged PNG')} of {depth} bits"


def _refuse_twins(files: Sequence[Path]) -> None:
    """Raises InputError for two pictures that would have one label."""
    known: dict[str, Path] = {}
    for file in files:
        if file.stem in known:
            raise InputError(
                f"{known[file.stem]} and {file} have one name, and one label. Rename one, and give "
                "it a label of its own."
            )
        known[file.stem] = file


def _beyond(counts: NDArray[np.int64], classes: int | None, path: Path) -> str | None:
    """What is wrong with labels that no class has."""
    if classes is None:
        return None
    beyond = [int(value) for value in np.flatnonzero(counts[:VOID]) if value >= classes]
    if not beyond:
        return None
    pixels = int(counts[beyond].sum())
    return (
        f"{path} has the label {', '.join(map(str, beyond))} on {pixels} pixels, but the {classes} "
        f"classes are 0 to {classes - 1} (and 255 for none)."
    )


def _report(wrong: Mapping[int, str], count: int, skip: bool, progress: Progress) -> None:
    """Raises InputError, or says what is skipped."""
    first = next(iter(wrong.values()))
    found = f"{len(wrong)} of {count} labelled pictures cannot be used, such as: {first}"
    if not skip:
        raise InputError(
            f"{found} Mend them, name a label that is not counted with --void, or leave these "
            "pictures out: --skip-corrupt."
        )
    progress.line(f"skipped: {found}")
