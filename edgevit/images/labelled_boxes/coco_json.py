"""COCO: one JSON file for all pictures of a folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from edgevit.common.errors import InputError
from edgevit.common.schema import typed_json
from edgevit.common.untrusted.bounded import read_text
from edgevit.images.labelled_boxes.boxed_picture import Findings, RawBox

_MOST_BYTES = 512 << 20  # COCO's own largest file has 448 MiB
_SIDES = 4
NO_BOX = "annotations have no box, only a segmentation perhaps, and are left out"
UNKNOWN_CLASS = "boxes of a category that the file does not list"
UNKNOWN_PICTURE = "boxes of a picture that the file does not list"


@dataclass(frozen=True, slots=True)
class CocoImage:
    """As in the format's ``images``."""

    id: int
    file_name: str
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class CocoCategory:
    """As in the format's ``categories``."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class CocoAnnotation:
    """As in the format's ``annotations``; bbox: left, top, width, height, or nothing."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, ...] = ()
    iscrowd: int = 0


@dataclass(frozen=True)
class CocoFile:
    """The parts of the format that detection needs."""

    images: tuple[CocoImage, ...]
    categories: tuple[CocoCategory, ...]
    annotations: tuple[CocoAnnotation, ...] = ()


def read_coco(path: Path) -> CocoFile:
    """Reads ``instances_*.json`` and the like.

    Raises:
        InputError: no JSON, or not in this format; the field that does not fit is named.
    """
    text = read_text(path, _MOST_BYTES, "annotation file")
    try:
        return _consistent(typed_json(CocoFile, text))
    except ValueError as error:
        raise InputError(
            f"{path} is not a COCO annotation file: {error}. Expected an object with the lists "
            "images, categories and annotations."
        ) from error


def _consistent(coco: CocoFile) -> CocoFile:
    """Raises ValueError for two pictures or categories of one id, or a box that is none."""
    for number, each in enumerate(coco.annotations):
        if len(each.bbox) not in (0, _SIDES):
            raise ValueError(f"annotations[{number}].bbox has {len(each.bbox)} numbers, expected 4")
    facts: dict[str, list[object]] = {
        "the id {} of images": [image.id for image in coco.images],
        "the id {} of categories": [category.id for category in coco.categories],
        "the picture {}": [image.file_name for image in coco.images],
    }
    for what, values in facts.items():
        if twice := [value for value, count in Counter(values).items() if count > 1]:
            raise ValueError(f"{what.format(twice[0])} is there twice")
    return coco


def boxes_by_picture(coco: CocoFile, where: str, findings: Findings) -> dict[int, list[RawBox]]:
    """The boxes of every picture, by its number; a picture without objects has an empty list."""
    names = {category.id: category.name for category in coco.categories}
    known = {image.id for image in coco.images}
    boxes: dict[int, list[RawBox]] = defaultdict(list)
    for each in coco.annotations:
        if each.category_id not in names:
            findings.add(UNKNOWN_CLASS, f"{where}, annotation {each.id}")
        elif each.image_id not in known:
            findings.add(UNKNOWN_PICTURE, f"{where}, annotation {each.id}")
        elif not each.bbox:
            findings.add(NO_BOX, f"{where}, annotation {each.id}")
        else:
            left, top, width, height = each.bbox
            sides = (left, top, left + width, top + height)
            boxes[each.image_id].append(RawBox(names[each.category_id], sides, bool(each.iscrowd)))
    return boxes
