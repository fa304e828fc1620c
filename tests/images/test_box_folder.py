"""Pascal VOC and COCO: what is read, and what is named and left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from edgevit.common.errors import InputError
from edgevit.images import image_io
from edgevit.images.labelled_boxes.box_folder import open_box_folder
from support.pictures.boxed_pictures import Objects, voc_xml, write_coco, write_voc

TWO: list[Objects] = [[("red", (4, 8, 40, 60)), ("blue", (50, 2, 90, 30))], []]
BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<annotation><object><name>&b;</name></object></annotation>"""


class Lines:
    """A progress that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


def opened(root: Path, **options: object) -> tuple[object, str]:
    lines = Lines()
    folder = open_box_folder(root, lines, **options)  # type: ignore[arg-type]
    return folder, "\n".join(lines.lines)


@contextmanager
def edited_coco(root: Path) -> Iterator[tuple[Path, Any]]:
    """A COCO folder of TWO, and what its file holds, which is written back at the end."""
    file = write_coco(root, TWO) / "annotations.json"
    content = json.loads(file.read_text())
    yield root, content
    file.write_text(json.dumps(content))


@pytest.mark.parametrize("write", [write_voc, write_coco])
def test_both_layouts_give_the_same(tmp_path, write):
    folder, said = opened(write(tmp_path / "data", TWO))
    assert folder.classes == ("blue", "red")
    assert [len(picture.labels) for picture in folder.pictures] == [2, 0]
    first = folder.pictures[0]
    assert dict(zip(first.labels.tolist(), first.boxes.tolist(), strict=True)) == {
        0: [50, 2, 90, 30],
        1: [4, 8, 40, 60],
    }
    assert (first.width, first.height) == (96, 64)
    assert said == ""


def test_boxes_that_cannot_be_right_are_counted_and_named(tmp_path):
    root = write_voc(tmp_path, TWO)
    odd = [
        ("red", (4, 8, 4, 60)),
        ("red", (200, 8, 240, 60)),
        ("red", (50, 2, 120, 30)),
        ("red", (float("nan"), 2, 120, 30)),
        ("red", (1, 2, 30, 30)),
    ]
    (root / "annotations/0.xml").write_text(voc_xml(odd, (96, 64)))
    folder, said = opened(root)
    assert folder.pictures[0].boxes.tolist() == [[50, 2, 96, 30], [1, 2, 30, 30]]
    assert "1 boxes without an area: 0.png" in said
    assert "1 boxes outside of their picture: 0.png" in said
    assert "1 boxes that reached beyond their picture were clipped: 0.png" in said
    assert "1 boxes whose sides are no finite numbers: 0.png" in said


def test_pictures_and_annotations_without_each_other(tmp_path):
    root = write_voc(tmp_path, [*TWO, TWO[0]])
    (root / "images/0.png").unlink()
    (root / "annotations/1.xml").unlink()
    folder, said = opened(root)
    assert [picture.file.name for picture in folder.pictures] == ["2.png"]
    assert "1 annotations without a picture are left out: 0.xml" in said
    assert "1 pictures without an annotation are left out: 1.png" in said


def test_a_picture_of_another_size_than_its_annotation_says(tmp_path):
    root = write_voc(tmp_path, TWO)
    (root / "annotations/0.xml").write_text(voc_xml(list(TWO[0]), (960, 640)))
    folder, said = opened(root, classes=("blue", "red"))
    assert [picture.file.name for picture in folder.pictures] == ["1.png"]
    assert "0.png (96x64, not 960x640)" in said


def test_a_damaged_picture_is_left_out(tmp_path):
    root = write_voc(tmp_path, TWO)
    (root / "images/1.png").write_bytes(b"no picture")
    folder, said = opened(root)
    assert len(folder) == 1
    assert "1.png" in said


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BOMB, "declares a document type or entities"),
        ("<annotation><object>", "no element found"),
        ("<html/>", "its root is <html>"),
        ("<annotation><object><bndbox/></object></annotation>", "no <name>"),
    ],
)
def test_damaged_xml_is_refused_by_name(tmp_path, content, reason):
    root = write_voc(tmp_path, TWO)
    (root / "annotations/1.xml").write_text(content)
    with pytest.raises(InputError, match=reason) as raised:
        opened(root)
    assert "1.xml" in str(raised.value)


def test_a_class_that_the_model_does_not_know(tmp_path):
    root = write_voc(tmp_path, TWO)
    with pytest.raises(InputError, match="not known: red"):
        opened(root, classes=("blue",))
    file = root / "annotations/0.xml"
    file.write_text(file.read_text().replace("<name>red", f"<name>{500 * 'a'}"))
    with pytest.raises(InputError, match=r"has 500 characters.*Shorten it"):
        opened(root)


def test_no_usable_picture(tmp_path):
    root = write_voc(tmp_path, TWO)
    for file in (root / "images").iterdir():
        file.unlink()
    with pytest.raises(InputError, match="no picture"):
        opened(root)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c["annotations"][0].update(bbox=[1, 2]), r"annotations\[0\].bbox has 2"),
        (lambda c: c["images"][1].update(id=c["images"][0]["id"]), "id .* of images .* twice"),
        (
            lambda c: c["categories"][1].update(id=c["categories"][0]["id"]),
            "of categor.* twice",
        ),
        (
            lambda c: c["images"][1].update(file_name=c["images"][0]["file_name"]),
            "is there twice",
        ),
        (lambda c: c["images"][0].update(file_name="../secret.png"), "outside of"),
        (lambda c: c.pop("categories"), "categories"),
    ],
)
def test_coco_that_does_not_fit_is_refused(tmp_path, change, reason):
    with edited_coco(tmp_path / "data") as (root, content):
        change(content)
    with pytest.raises(InputError, match=reason):
        opened(root)


def test_coco_boxes_of_unknown_categories_and_pictures_are_counted(tmp_path):
    with edited_coco(tmp_path / "data") as (root, content):
        content["annotations"][0]["category_id"] = 99
        content["annotations"][1]["image_id"] = 99
    folder, said = opened(root)
    assert folder.boxes == 0
    assert "1 boxes of a category that the file does not list" in said
    assert "1 boxes of a picture that the file does not list" in said


def test_coco_annotations_without_a_box_and_repeated_ones_are_counted(tmp_path):
    """As in files of segmentations, and in files that were merged."""
    with edited_coco(tmp_path / "data") as (root, content):
        first, second = content["annotations"]
        content["annotations"] = [first, first | {"id": 77}, second]
        del second["bbox"]
    folder, said = opened(root)
    assert folder.boxes == 1
    assert "1 annotations have no box" in said
    assert "1 boxes that repeat another of their picture" in said


def test_coco_names_may_begin_at_the_folder_of_the_file(tmp_path):
    with edited_coco(tmp_path / "data") as (root, content):
        for image in content["images"]:
            image["file_name"] = f"images/{image['file_name']}"
    assert opened(root)[0].boxes == 2


def test_coco_names_longer_than_any_file_has_are_missing_pictures(tmp_path):
    """To ask for such a file was an OSError, which make fuzz found."""
    with edited_coco(tmp_path / "data") as (root, content):
        content["images"][0]["file_name"] = "x" * 300
    folder, said = opened(root)
    assert [len(picture.boxes) for picture in folder.pictures] == [0]
    assert "1 annotations without a picture are left out" in said


def test_objects_that_do_not_count_are_no_boxes_to_learn_from(tmp_path):
    root = write_voc(tmp_path, TWO)
    for file in (root / "annotations").iterdir():
        text = file.read_text().replace("<object>", "<object><difficult>1</difficult>")
        file.write_text(text)
    assert opened(root)[0].boxes == 0


def test_a_coco_crowd_and_a_difficult_voc_object_are_ignored_ones(tmp_path):
    root = write_coco(tmp_path / "coco", TWO)
    file = root / "annotations.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["iscrowd"] = 1
    file.write_text(json.dumps(content))
    assert opened(root)[0].pictures[0].ignored.tolist() == [True, False]
    voc = write_voc(tmp_path / "voc", TWO)
    text = (voc / "annotations/0.xml").read_text()
    (voc / "annotations/0.xml").write_text(
        text.replace("<object>", "<object><difficult>1</difficult>", 1)
    )
    assert opened(voc)[0].pictures[0].ignored.tolist() == [True, False]


def test_the_size_is_that_of_the_picture_as_it_is_shown(tmp_path):
    """EXIF turns pictures; tools label what they show."""
    root = write_voc(tmp_path, [TWO[0]], (96, 64))
    (root / "images/0.png").unlink()
    exif = Pillow.Exif()
    exif[0x0112] = 6
    pixels = np.zeros((96, 64, 3), np.uint8)
    Pillow.fromarray(pixels).save(root / "images/0.jpg", exif=exif)
    assert image_io.read(root / "images/0.jpg").shape == (64, 96, 3)
    assert len(opened(root)[0]) == 1
