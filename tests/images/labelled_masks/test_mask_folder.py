"""Labelled pictures on disk: pairs by name, and everything that is wrong with them is said."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevit.common.errors import InputError
from edgevit.common.progress import SilentProgress
from edgevit.images.labelled_masks.mask_folder import MaskFolder, read_labels
from support.pictures.labelled_pictures import write_labelled


class Lines(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_labelled(tmp_path / "data", 4)


def test_pairs_go_by_name_and_what_is_alone_is_named(folder: Path) -> None:
    (folder / "labels" / "2.png").unlink()
    (folder / "images" / "3.png").unlink()
    opened = MaskFolder.open(folder)
    assert [file.stem for file in opened.files] == ["0", "1"]
    assert [path.stem for path in opened.left_out["pictures without labels"]] == ["2"]
    assert [path.stem for path in opened.left_out["labels without a picture"]] == ["3"]


def test_pixels_are_counted_by_class(folder: Path) -> None:
    opened, pixels = MaskFolder.open(folder).checked(None, False, 1, SilentProgress())
    assert len(opened) == 4
    assert pixels.shape == (3,)
    assert pixels.sum() == 4 * 48 * 64


def test_void_is_no_class(tmp_path: Path) -> None:
    made = write_labelled(tmp_path / "data", 2, void=11)
    opened = MaskFolder.open(made, void=11)
    assert (opened.pair(0)[1][:2] == 255).all()
    _, pixels = opened.checked(3, False, 1, SilentProgress())
    assert pixels.sum() == 2 * 46 * 64
    with pytest.raises(InputError, match=r"label 11 on 128 pixels.*'void'"):
        MaskFolder.open(made).checked(3, False, 1, SilentProgress())


def test_a_label_of_another_size_is_named_or_skipped(folder: Path) -> None:
    cv2.imwrite(str(folder / "labels" / "1.png"), np.zeros((10, 20), np.uint8))
    opened = MaskFolder.open(folder)
    with pytest.raises(InputError, match=r"1 of 4 .*1\.png has 20x10 pixels, its picture 64x48"):
        opened.checked(3, False, 1, SilentProgress())
    said = Lines()
    rest, pixels = opened.checked(3, True, 1, said)
    assert len(rest) == 3
    assert pixels.sum() == 3 * 48 * 64
    assert "skipped: 1 of 4" in said.lines[0]


LABELS = np.ones((48, 64), np.uint8)


def palette_png(path: Path) -> None:
    from PIL import Image

    image = Image.fromarray(LABELS).convert("P")
    image.save(path)


def jpeg_named_png(path: Path) -> None:
    path.write_bytes(cv2.imencode(".jpg", LABELS)[1].tobytes())


@pytest.mark.parametrize(
    ("write", "what"),
    [
        (lambda path: cv2.imwrite(str(path), LABELS[..., None].repeat(3, 2)), "in colours of 8"),
        (lambda path: cv2.imwrite(str(path), LABELS.astype(np.uint16)), "of 16 bits"),
        (lambda path: cv2.imwrite(str(path), LABELS, [cv2.IMWRITE_PNG_BILEVEL, 1]), "of 1 bit"),
        (palette_png, "a PNG with a palette"),
        (jpeg_named_png, "holds no PNG"),
        (lambda path: path.write_bytes(b""), "is empty"),
    ],
)
def test_only_a_greyscale_png_of_8_bits_holds_labels(folder: Path, write, what: str) -> None:
    """OpenCV would read numbers from each, but not those of the classes."""
    path = folder / "labels" / "0.png"
    write(path)
    with pytest.raises(InputError, match=rf"0\.png .*{what}.*greyscale PNG of 8 bits"):
        read_labels(path)


def test_pictures_of_one_name_would_have_one_label(folder: Path) -> None:
    cv2.imwrite(str(folder / "images" / "1.jpg"), np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(InputError, match="have one name, and one label"):
        MaskFolder.open(folder)


def test_the_suffix_of_a_label_may_be_in_capitals(folder: Path) -> None:
    label = folder / "labels" / "1.png"
    label.rename(label.with_suffix(".PNG"))
    assert len(MaskFolder.open(folder)) == 4


def test_labels_without_a_class_are_nothing_to_learn_from(folder: Path) -> None:
    for label in (folder / "labels").iterdir():
        cv2.imwrite(str(label), np.full((48, 64), 255, np.uint8))
    with pytest.raises(InputError, match="No pixel of the 4 labels has a class"):
        MaskFolder.open(folder).checked(3, False, 1, SilentProgress())


def test_a_damaged_label_is_refused(folder: Path) -> None:
    path = folder / "labels" / "0.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match=r"0\.png"):
        read_labels(path)


def test_a_folder_without_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folders 'images' and 'labels'"):
        MaskFolder.open(tmp_path)
    (tmp_path / "labels").mkdir()
    cv2.imwrite(
        str((tmp_path / "images" / "a.png").parent.mkdir() or tmp_path / "images/a.png"),
        np.zeros((4, 4, 3), np.uint8),
    )
    with pytest.raises(InputError, match="no picture has a label"):
        MaskFolder.open(tmp_path)
