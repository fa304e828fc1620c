"""A folder of pictures with boxes, in Pascal VOC's or COCO's layout, checked as it is read.

- VOC: ``images/*.jpg`` and ``annotations/*.xml`` of the same names (``JPEGImages`` and
  ``Annotations`` too), or both kinds of file side by side.
- COCO: one ``.json`` file in the folder or in ``annotations``, and the pictures that it names, in
  the folder or in ``images``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError, some_of
from edgevit.common.progress import Progress
from edgevit.common.storage.hashes import sha256_of
from edgevit.images.image_files import list_images
from edgevit.images.image_folder import refuse_label
from edgevit.images.labelled_boxes.boxed_picture import (
    BoxedPicture,
    Findings,
    RawBox,
    boxed,
    shown_size,
    usable,
)
from edgevit.images.labelled_boxes.coco_json import boxes_by_picture, read_coco
from edgevit.images.labelled_boxes.voc_xml import read_voc

_PICTURES = ("images", "JPEGImages")
_ANNOTATIONS = ("annotations", "Annotations")

NO_ANNOTATION = "pictures without an annotation are left out"
NO_PICTURE = "annotations without a picture are left out"
WRONG_SIZE = "pictures are left out, whose annotation tells another size"
DAMAGED = "pictures are left out, which are damaged or of a format that is not read"

_Raw = tuple[Path, tuple[int, int] | None, list[RawBox]]


@dataclass(frozen=True)
class BoxFolder:
    """Pictures with boxes; ``classes`` are sorted by name."""

    root: Path
    classes: tuple[str, ...]
    pictures: tuple[BoxedPicture, ...]
    findings: Findings = field(default_factory=Findings, compare=False)

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(picture.file for picture in self.pictures)

    @property
    def boxes(self) -> int:
        """How many boxes of all pictures count; ignored ones do not."""
        return sum(int((~picture.ignored).sum()) for picture in self.pictures)

    @cached_property
    def label_texts(self) -> tuple[str, ...]:
        """All boxes of every picture as one line of text, for hashes."""
        return tuple(_label_text(picture, self.classes) for picture in self.pictures)

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the classes, the boxes, and the names and contents of the pictures."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for file, text in zip(self.files, self.label_texts, strict=True):
            digest.update(f"{file.name} {sha256_of(file)} {text}\n".encode())
        return f"{len(self)} images, {digest.hexdigest()[:16]}"

    def part(self, indices: Sequence[int] | NDArray[np.int64]) -> BoxFolder:
        """The same classes, some of the pictures."""
        return replace(self, pictures=tuple(self.pictures[i] for i in indices))


def open_box_folder(
    root: Path, progress: Progress, classes: tuple[str, ...] | None = None
) -> BoxFolder:
    """Reads a folder, and says what of it is not used.

    Args:
        classes: those of the model or of the training data; by default the ones that occur.

    Raises:
        InputError: no folder, neither layout, a damaged annotation, a class that is not among the
            given ones, or no usable picture.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder. --data wants pictures and their boxes.")
    findings = Findings()
    json_file = _json_file(root)
    if json_file is not None:
        raw, named = _coco_pictures(root, json_file, findings)
    else:
        raw, named = _voc_pictures(root, findings)
    known = classes or tuple(sorted(named))
    for name in known:
        refuse_label(name, str(root))
    pictures = [each for one in raw if (each := _checked(one, known, findings)) is not None]
    for line in findings.lines():
        progress.line(f"note: {root}: {line}")
    if not pictures or not known:
        raise InputError(
            f"{root} holds no picture with usable boxes. {'. '.join(findings.lines())}".rstrip()
        )
    return BoxFolder(root, known, tuple(pictures), findings)


def is_box_folder(root: Path) -> bool:
    """Whether a folder looks like one of the two layouts."""
    if not root.is_dir():
        return False
    return _json_file(root) is not None or any(_annotation_folder(root).glob("*.xml"))


def annotation_files(root: Path) -> list[Path]:
    """The COCO file of a folder, or its Pascal VOC files.

    Raises:
        InputError: there are several COCO files.
    """
    json_file = _json_file(root)
    return sorted(_annotation_folder(root).glob("*.xml")) if json_file is None else [json_file]


def _annotation_folder(root: Path) -> Path:
    return next((root / name for name in _ANNOTATIONS if (root / name).is_dir()), root)


def _picture_folder(root: Path) -> Path:
    return next((root / name for name in _PICTURES if (root / name).is_dir()), root)


def _json_file(root: Path) -> Path | None:
    """The COCO file, where there is one.

    Raises:
        InputError: there are several.
    """
    files = sorted({*root.glob("*.json"), *_annotation_folder(root).glob("*.json")})
    if len(files) > 1:
        raise InputError(
            f"{root} holds several JSON files: {some_of(files)}. Leave only the COCO annotations "
            "of its pictures there."
        )
    return files[0] if files else None


def _voc_pictures(root: Path, findings: Findings) -> tuple[list[_Raw], set[str]]:
    annotations = {each.stem: each for each in sorted(_annotation_folder(root).glob("*.xml"))}
    if not annotations:
        raise InputError(
            f"{root} holds neither {root}/annotations/*.xml (Pascal VOC) nor a .json file (COCO)."
        )
    files: dict[str, Path] = {}
    for file in list_images(_picture_folder(root)).files:
        if file.stem in files:
            raise InputError(
                f"{files[file.stem]} and {file} have one name, and one annotation. Rename one."
            )
        files[file.stem] = file
    for stem in sorted(files.keys() - annotations.keys()):
        findings.add(NO_ANNOTATION, files[stem].name)
    for stem in sorted(annotations.keys() - files.keys()):
        findings.add(NO_PICTURE, annotations[stem].name)
    raw, names = [], set()
    for stem in sorted(files.keys() & annotations.keys()):
        voc = read_voc(annotations[stem])
        names |= {box.name for box in voc.boxes}
        raw.append((files[stem], voc.size, voc.boxes))
    return raw, names


def _coco_pictures(root: Path, json_file: Path, findings: Findings) -> tuple[list[_Raw], set[str]]:
    coco = read_coco(json_file)
    boxes = boxes_by_picture(coco, json_file.name, findings)
    folder, raw = _picture_folder(root), []
    for image in coco.images:
        name = Path(image.file_name)
        if name.is_absolute() or ".." in name.parts:
            raise InputError(f"{json_file} names a picture outside of {folder}: {name}.")
        # os.path's: Path.is_file raises for a name that is too long; to this it is just missing.
        places = (at / name for at in (folder, root) if os.path.isfile(at / name))  # noqa: PTH113
        file = next(places, None)
        if file is None:
            findings.add(NO_PICTURE, image.file_name)
            continue
        size = (image.width, image.height) if image.width > 0 < image.height else None
        raw.append((file, size, boxes.get(image.id, [])))
    listed = {file for file, _, _ in raw}
    for file in list_images(folder).files:
        if file not in listed:
            findings.add(NO_ANNOTATION, file.name)
    return raw, {category.name for category in coco.categories}


def _checked(raw: _Raw, classes: tuple[str, ...], findings: Findings) -> BoxedPicture | None:
    """One picture with the boxes that can be used; None where the picture cannot."""
    file, told, boxes = raw
    size = shown_size(file)
    if size is None:
        findings.add(DAMAGED, file.name)
        return None
    if told is not None and told != size:
        findings.add(WRONG_SIZE, f"{file.name} ({size[0]}x{size[1]}, not {told[0]}x{told[1]})")
        return None
    if unknown := sorted({box.name for box in boxes} - set(classes)):
        raise InputError(
            f"{file.name} has boxes of classes that are not known: {some_of(unknown)}. The classes "
            f"are: {', '.join(classes)}."
        )
    return boxed(file, size, usable(boxes, *size, file.name, findings), classes)


def _label_text(picture: BoxedPicture, classes: tuple[str, ...]) -> str:
    rows = zip(picture.labels, picture.boxes, picture.ignored, strict=True)
    lines = [
        f"{classes[label]} {' '.join(f'{side:.2f}' for side in box)}{' ignored' * bool(skip)}"
        for label, box, skip in rows
    ]
    return "; ".join(sorted(lines))
