"""What a picture means: one reading of alpha, orientation and depth, in training and on devices."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageOps

from edgevit.common.errors import InputError
from edgevit.images import image_io
from edgevit.images.image_folder import ImageFolder
from edgevit.images.image_io import Image
from edgevit.training.data import BatchLoader
from edgevit.zoo.interface.preprocess import Preprocess
from support import Command
from support.pictures.files import corners, exif, png, saved, with_segment, xmp

PREPROCESS = Preprocess(224)


def stripes(height: int, width: int) -> Image:
    """Black and white columns of one pixel: averaged they are grey, sampled they are not."""
    row = np.arange(width) % 2 * 255
    return np.broadcast_to(row[None, :, None], (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("height", [100, 223, 224, 225, 500])
def test_a_side_that_shrinks_is_averaged_whatever_the_other_does(height: int) -> None:
    """4000x223 and 4000x224 differed by 50 times in the contrast of fine stripes."""
    wide = image_io.resize(stripes(height, 4000), PREPROCESS)
    tall = image_io.resize(np.ascontiguousarray(stripes(height, 4000).swapaxes(0, 1)), PREPROCESS)
    for picture in (wide, tall):
        assert picture.shape == (224, 224, 3)
        assert picture.std() < 8
        assert abs(picture.mean() - 127.5) < 4


@pytest.mark.parametrize(("height", "width"), [(300, 400), (224, 500), (100, 150), (224, 224)])
def test_the_usual_cases_are_what_the_weights_were_trained_with(height: int, width: int) -> None:
    """Both sides shrink: areas; both grow: bilinear; the very pixels of OpenCV's own."""
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    way = cv2.INTER_AREA if height >= 224 else cv2.INTER_LINEAR
    np.testing.assert_array_equal(
        image_io.resize(picture, PREPROCESS), cv2.resize(picture, (224, 224), interpolation=way)
    )


def upright(orientation: int) -> Image:
    """What a viewer shows, by Pillow."""
    data = saved(corners(), "PNG", exif=exif(orientation))
    shown = ImageOps.exif_transpose(Pillow.open(BytesIO(data)))
    return np.asarray(shown.convert("RGB"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "kind",
    ["short", "little", "long", "long little", "xmp", "PNG", "PNG xmp", "WEBP", "TIFF", "AVIF"],
)
def test_pictures_stand_upright(kind: str, orientation: int) -> None:
    """EXIF of both types and orders, XMP where there is no EXIF, AVIF's own properties."""
    plain = saved(corners(), "JPEG", quality=95, subsampling=0)
    data = {
        "short": lambda: with_segment(plain, b"Exif\0\0" + exif(orientation)),
        "little": lambda: with_segment(plain, b"Exif\0\0" + exif(orientation, 3, "<")),
        "long": lambda: with_segment(plain, b"Exif\0\0" + exif(orientation, 4)),
        "long little": lambda: with_segment(plain, b"Exif\0\0" + exif(orientation, 4, "<")),
        "xmp": lambda: with_segment(plain, b"http://ns.adobe.com/xap/1.0/\0" + xmp(orientation)),
        "PNG xmp": lambda: _png_with_xmp(xmp(orientation)),
    }.get(kind, lambda: saved(corners(), kind, exif=_pillow_exif(orientation)))()
    difference = image_io.decode(data, kind).astype(int) - upright(orientation)
    assert np.abs(difference).mean() < 6


def _pillow_exif(orientation: int) -> Pillow.Exif:
    found = Pillow.Exif()
    found[0x112] = orientation
    return found


def _png_with_xmp(packet: bytes) -> bytes:
    data = saved(corners(), "PNG")
    text = png((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))[8:]
    return data[:33] + text + data[33:]


def test_exif_comes_before_xmp() -> None:
    plain = saved(corners(), "JPEG", quality=95, subsampling=0)
    data = with_segment(plain, b"http://ns.adobe.com/xap/1.0/\0" + xmp(3))
    data = with_segment(data, b"Exif\0\0" + exif(6))
    assert np.abs(image_io.decode(data, "both").astype(int) - upright(6)).mean() < 6


def hidden() -> np.ndarray:
    """RGBA: red that is hidden, green at half, blue."""
    picture = np.zeros((24, 24, 4), np.uint8)
    picture[:8], picture[8:16], picture[16:] = (255, 0, 0, 0), (0, 255, 0, 128), (0, 0, 255, 255)
    return picture


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF", "JPEG2000"])
def test_transparent_parts_are_white(kind: str) -> None:
    """A hidden colour decided the class."""
    options = {"WEBP": {"lossless": True, "exact": True}, "AVIF": {"quality": 100}}
    picture = image_io.decode(saved(hidden(), kind, **options.get(kind, {})), kind)
    for row, colour in ((3, (255, 255, 255)), (12, (127, 255, 127)), (21, (0, 0, 255))):
        np.testing.assert_allclose(picture[row, 12], colour, atol=6)


def test_other_kinds_of_transparency() -> None:
    """A palette's alpha, one transparent colour or grey, 16 bits, GIF, a BMP's mask."""
    palette = Pillow.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 0, 255])
    rgb16 = np.zeros((1, 2, 4), np.uint16)
    rgb16[0, 0], rgb16[0, 1] = (0, 0, 65535, 0), (65535, 0, 0, 65535)  # BGRA
    grey = Pillow.fromarray(np.array([[7, 0]], np.uint8))
    cases = {
        "palette": (saved(palette, "PNG", transparency=b"\0\xff"), (0, 0, 255)),
        "colour": (
            saved(
                np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8), "PNG", transparency=(255, 0, 0)
            ),
            (0, 0, 255),
        ),
        "grey": (saved(grey, "PNG", transparency=7), (0, 0, 0)),
        "16 bits": (cv2.imencode(".png", rgb16)[1].tobytes(), (0, 0, 255)),
        "GIF": (saved(palette, "GIF", transparency=0), (0, 0, 255)),
        "BMP": (_bmp_with_alpha(), (0, 0, 255)),
    }
    for name, (data, second) in cases.items():
        picture = image_io.decode(data, name)
        assert picture[0, 0].tolist() == [255, 255, 255], name
        np.testing.assert_allclose(picture[0, 1], second, atol=1, err_msg=name)


def _bmp_with_alpha() -> bytes:
    masks = b"".join(m.to_bytes(4, "little") for m in (0xFF0000, 0xFF00, 0xFF, 0xFF000000))
    info = (108).to_bytes(4, "little") + (2).to_bytes(4, "little") + (1).to_bytes(4, "little")
    info += (1).to_bytes(2, "little") + (32).to_bytes(2, "little") + (3).to_bytes(4, "little")
    info += bytes(20) + masks
    info += bytes(108 - len(info))
    pixels = bytes((0, 0, 255, 0, 255, 0, 0, 255))
    offset = 14 + len(info)
    size = (offset + len(pixels)).to_bytes(4, "little")
    return b"BM" + size + bytes(4) + offset.to_bytes(4, "little") + info + pixels


def test_of_several_frames_the_first_is_taken_and_that_is_said(
    tmp_path: Path, edgevit: Command
) -> None:
    frames = [Pillow.new("RGB", (40, 30), colour) for colour in ("red", "green", "blue")]
    for kind, suffix in (("GIF", "gif"), ("PNG", "png"), ("WEBP", "webp"), ("TIFF", "tif")):
        path = tmp_path / f"many.{suffix}"
        options = {"lossless": True} if kind == "WEBP" else {}
        path.write_bytes(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options))
        read = image_io.read_picture(path)
        assert read.notes == ("of its 3 frames the first is taken",)
        np.testing.assert_allclose(read.pixels[15, 20], (255, 0, 0), atol=2)
        ended = edgevit("run", path)
        assert ended.code == 0
        assert f"{path}: of its 3 frames the first is taken" in ended.err
    assert "notes" in edgevit("run", tmp_path / "many.gif", "--json").out


def test_odd_pictures_train_as_they_deploy(tmp_path: Path, photos: list[Image]) -> None:
    """Grey, CMYK, 16 bits, turned, transparent: the loader's pixels are the device's."""
    photo = photos[1][:200, :300]
    turned = with_segment(saved(photo, "JPEG"), b"Exif\0\0" + exif(6, 4))
    odd = {
        "grey.png": saved(photo, "PNG", mode="L"),
        "cmyk.jpg": saved(photo, "JPEG", mode="CMYK"),
        "deep.png": cv2.imencode(".png", photo[..., ::-1].astype(np.uint16) * 257)[1].tobytes(),
        "turned.jpg": turned,
        "clear.png": saved(photo, "PNG", mode="RGBA"),
        "palette.gif": saved(photo, "GIF"),
    }
    (tmp_path / "cat").mkdir()
    for name, data in odd.items():
        (tmp_path / "cat" / name).write_bytes(data)
    folder = ImageFolder.open(tmp_path)
    assert len(folder) == len(odd)
    (batch,) = BatchLoader(folder, Preprocess(224), len(odd), 2).evaluation()
    deployed = image_io.batch((image_io.read(file) for file in folder.files), PREPROCESS)
    np.testing.assert_array_equal(batch.images, deployed)
    upright_photo = image_io.resize(photo, PREPROCESS).astype(int)
    for file, picture in zip(folder.files, batch.images, strict=True):
        expected = upright_photo
        if "turned" in file.name:
            expected = image_io.resize(np.rot90(photo, -1).copy(), PREPROCESS).astype(int)
        if "grey" in file.name:
            expected = np.repeat(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
            expected = image_io.resize(expected, PREPROCESS).astype(int)
        assert np.abs(picture - expected).mean() < 8, file.name


def test_grey_with_alpha_is_refused_where_opencv_would_show_what_is_hidden() -> None:
    for kind in ("TIFF", "JPEG2000"):
        with pytest.raises(InputError, match="grey with transparency"):
            image_io.decode(saved(hidden(), kind, mode="LA"), kind)
