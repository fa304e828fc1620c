"""Pictures of every kind: read, or refused with one clear message."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevit.common.errors import InputError
from edgevit.images import image_io, jpeg
from edgevit.images.image_io import Image
from edgevit.zoo.interface.preprocess import Preprocess
from support import Command, write_png

PREPROCESS = Preprocess(224)


def jpeg_bytes(photo: Image, *options: int) -> bytes:
    return cv2.imencode(".jpg", cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), options)[1].tobytes()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".webp", ".jpg"])
def test_formats(tmp_path: Path, photos: list[Image], suffix: str) -> None:
    path = tmp_path / f"photo{suffix}"
    cv2.imwrite(str(path), cv2.cvtColor(photos[0], cv2.COLOR_RGB2BGR))
    difference = np.abs(image_io.read(path).astype(int) - photos[0])
    assert difference.mean() < 4


@pytest.mark.parametrize("kind", ["greyscale", "16-bit", "1x1", "1xN"])
def test_odd_pictures_become_rgb(tmp_path: Path, photos: list[Image], kind: str) -> None:
    photo = photos[0]
    odd = {
        "greyscale": photo[..., 1],
        "16-bit": photo.astype(np.uint16) * 257,
        "1x1": photo[:1, :1],
        "1xN": photo[:1],
    }[kind]
    picture = image_io.read(write_png(tmp_path / "odd.png", odd))
    assert picture.dtype == np.uint8
    expected = np.repeat(odd[..., None], 3, axis=2) if odd.ndim == 2 else photo
    height, width = odd.shape[:2]
    np.testing.assert_allclose(picture, expected[:height, :width], atol=1)
    assert image_io.resize(picture, PREPROCESS).shape == (224, 224, 3)


def test_squash_takes_the_whole_of_a_wide_picture() -> None:
    """16:9: every column of the source is in the result, none is cropped."""
    wide = np.zeros((180, 320, 3), np.uint8)
    wide[:, :8] = wide[:, -8:] = 255
    squashed = image_io.resize(wide, PREPROCESS)
    assert squashed.shape == (224, 224, 3)
    assert squashed[:, 0].min() > 200
    assert squashed[:, -1].min() > 200


def test_exif_rotation_is_applied(tmp_path: Path, photos: list[Image]) -> None:
    data = jpeg_bytes(photos[2])
    orientation = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"  # 6: turn right
    tiff = b"MM\x00*\x00\x00\x00\x08\x00\x01" + orientation + bytes(4)
    exif = b"Exif\x00\x00" + tiff
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    turned = image_io.decode(data[:2] + segment + data[2:], "turned.jpg")
    assert turned.shape[:2] == photos[2].shape[1::-1]


@pytest.mark.parametrize(
    "options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 4)]
)
def test_a_jpeg_is_whole_or_cut(photos: list[Image], options: tuple[int, ...]) -> None:
    data = jpeg_bytes(photos[0], *options)
    assert jpeg.is_whole(data)
    assert jpeg.is_whole(data + b"a motion photo's video" * 100)
    for keep in (len(data) - 2, len(data) // 2, 300, 3):
        assert not jpeg.is_whole(data[:keep])


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("cut.jpg", lambda p: jpeg_bytes(p)[:9000], "truncated JPEG"),
        ("cut.png", lambda p: cv2.imencode(".png", p)[1].tobytes()[:9000], "damaged"),
        ("text.jpg", lambda _: b"this is not a picture", "damaged or not a picture"),
        ("empty.png", lambda _: b"", "is empty"),
    ],
)
def test_what_is_no_picture(
    tmp_path: Path, photos: list[Image], edgevit: Command, name: str, make: object, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(make(photos[0]))  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        image_io.read(path)
    ended = edgevit("run", path)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_missing_files_and_folders(tmp_path: Path, edgevit: Command) -> None:
    assert "No such image" in edgevit("run", tmp_path / "none.jpg").one_message
    assert "No image found" in edgevit("run", tmp_path).one_message
    ended = edgevit("run", tmp_path / "none.edgevit", tmp_path / "a.jpg")
    assert "is not a bundle" in ended.one_message
