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


@pytest.mark.parametrize("labels", [np.zeros((48, 64, 3), np.uint8), np.zeros((48, 64), np.uint16)])
def test_a_label_in_colours_or_of_16_bits_is_refused(folder: Path, labels: np.ndarray) -> None:
    path = folder / "labels" / "0.png"
    cv2.imwrite(str(path), labels)
    with pytest.raises(InputError, match="one channel of 8 bits"):
        read_labels(path)


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
