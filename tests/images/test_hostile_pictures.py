"""Pictures that lie, block or crash; all are made here."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgevit.common.errors import InputError
from edgevit.common.untrusted.bounded import read_bytes
from edgevit.images import image_io, jpeg
from edgevit.images.image_io import Image
from support import Command, begin, environment, python, write_png
from support.fuzzing.damaged_pictures import read_picture, whole_pictures
from support.fuzzing.mutations import changed_bytes
from support.pictures.files import jpeg_claiming, png, png_header, saved
from support.zoo import float_copy

END = (b"IEND", b"")
LIMIT_BYTES = 2 << 30


def bombs(photo: Image) -> dict[str, bytes]:
    """Small files that claim to be large; what each would cost its decoder is in gigabytes."""
    honest = saved(photo[:32, :32], "JPEG")
    gif = saved(photo[:8, :8], "GIF")
    webp = saved(photo[:8, :8], "WEBP", lossless=True)
    jp2 = saved(photo[:8, :8], "JPEG2000")
    size = jp2.index(b"\xff\x4f\xff\x51") + 8
    return {
        "idat.png": png(
            png_header(4, 4),
            (b"IDAT", zlib.compress(bytes(52))),
            END,
            claimed={b"IDAT": 2**31 - 16},
        ),
        "size.png": png(png_header(60_000, 60_000), (b"IDAT", zlib.compress(bytes(99))), END),
        "sixteen.png": png(png_header(12_000, 9_000, 16, 6), (b"IDAT", b""), END),
        "claims.jpg": jpeg_claiming(honest, 14_000, 14_000),
        "padded.jpg": jpeg_claiming(honest, 14_000, 14_000) + bytes(500_000),
        "size.bmp": saved(photo[:8, :8], "BMP")[:18]
        + (60_000).to_bytes(4, "little") * 2
        + bytes(28),
        "size.pgm": b"P5 60000 60000 255\n" + bytes(99),
        "size.gif": gif[:6] + b"\xff\xff\xff\xff" + gif[10:],
        "size.webp": webp[:21] + b"\xff\xff\xff\x0f" + webp[25:],
        "size.jp2": jp2[:size] + (60_000).to_bytes(4, "big") * 2 + jp2[size + 8 :],
        "size.tif": saved(photo[:8, :8], "TIFF").replace(
            b"\x00\x01\x04\x00\x01\x00\x00\x00\x08\x00", b"\x00\x01\x04\x00\x01\x00\x00\x00\xff\xff"
        ),
    }


BOMBS = sorted(bombs(np.zeros((32, 32, 3), np.uint8)))


@pytest.mark.parametrize("name", BOMBS)
def test_a_size_is_checked_before_it_is_believed(
    tmp_path: Path, photos: list[Image], name: str
) -> None:
    """Refused in one line, and the process never holds what was claimed."""
    path = tmp_path / name
    path.write_bytes(bombs(photos[0])[name])
    with pytest.raises(InputError, match=name) as refused:
        image_io.read(path)
    assert "\n" not in str(refused.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < LIMIT_BYTES >> 10


def test_the_limit_of_pixels_is_named_and_can_be_raised(
    tmp_path: Path, edgevit: Command, photos: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By option or environment, for every command that reads pictures."""
    path = write_png(tmp_path / "photo.png", photos[0][:100, :100])
    refused = edgevit("run", path, "--max-pixels", 9_999)
    assert refused.code == 2
    assert "100x100" in refused.one_message
    assert "--max-pixels 10000" in refused.one_message
    assert edgevit("run", path, "--max-pixels", 10_000).code == 0
    monkeypatch.setenv("EDGEVIT_MAX_PIXELS", "50")
    assert "--max-pixels" in edgevit("run", path).one_message


def test_training_has_the_limit_too(tmp_path: Path, photos: list[Image]) -> None:
    """OpenCV was imported before its limit was set, and had none."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(2):
            write_png(tmp_path / name / f"{i}.png", photos[i][:40, :40])
    (tmp_path / "a" / "huge.png").write_bytes(bombs(photos[0])["size.png"])
    ended = python("-m", "edgevit", "train", "--data", tmp_path, "--output", tmp_path / "run")
    assert ended.code == 2
    assert "huge.png" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("kind", ["pipe", "zero", "sparse", "folder"])
def test_what_is_no_file_is_never_waited_for(tmp_path: Path, edgevit: Command, kind: str) -> None:
    """A pipe, a device behind a link, 40 GiB of nothing."""
    path = tmp_path / "x.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "sparse":
        path.touch()
        os.truncate(path, 40 << 30)
    else:
        path.mkdir()
    said = {"pipe": "is a pipe", "zero": "is a device", "sparse": "40960 MiB"}
    assert said.get(kind, "No image found") in edgevit("run", path).one_message


@pytest.mark.parametrize(
    "arguments",
    [
        ("bench", "--compare", "{}", "{}"),
        ("bench", "--repeat", "{}"),
        ("report", "{}"),
        ("doctor", "--recording", "{}"),
        ("export", "--classes", "{}"),
        ("export", "--checkpoint", "{}.pth"),
        ("export", "--checkpoint", "{}.safetensors"),
    ],
)
def test_no_command_waits_for_a_pipe(
    tmp_path: Path, edgevit: Command, arguments: tuple[str, ...]
) -> None:
    """Results, recordings, class files and checkpoints."""
    for name in ("x", "x.pth", "x.safetensors"):
        os.mkfifo(tmp_path / name)
    ended = edgevit(*(argument.format(tmp_path / "x") for argument in arguments))
    assert ended.code == 2
    assert "is a pipe" in ended.one_message


def test_the_list_of_devices_may_be_no_pipe(
    tmp_path: Path, edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """19."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "edgevit").mkdir()
    os.mkfifo(tmp_path / "edgevit" / "devices.toml")
    assert "is a pipe" in edgevit("devices", "list").one_message


def test_what_grows_while_it_is_read_is_bounded(tmp_path: Path) -> None:
    """18: /proc says that its files are empty."""
    assert read_bytes(Path("/proc/self/status"), 1 << 20)
    with pytest.raises(InputError, match="at most 9 bytes"):
        read_bytes(Path("/proc/self/status"), 9)


@pytest.mark.parametrize("command", [pytest.param("run", marks=pytest.mark.slow), "eval"])
def test_a_signal_ends_the_reading_at_once(
    tmp_path: Path, photos: list[Image], command: str
) -> None:
    """Threads in the middle of a picture are not waited for."""
    folder = tmp_path / "tench"
    folder.mkdir()
    large = cv2.resize(photos[0], (4000, 4000))
    (folder / "0.png").write_bytes(saved(large, "PNG", compress_level=1))
    for i in range(1, 60):
        (folder / f"{i}.png").hardlink_to(folder / "0.png")
    process = begin(command, tmp_path)
    time.sleep(4)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "interrupted" in err
    assert "Traceback" not in err + out


@pytest.mark.parametrize(
    "name", [b"x\xff.jpg", b"x\xff", pytest.param(b"\xc3\x28.png", marks=pytest.mark.slow)]
)
def test_a_name_that_is_not_utf8(tmp_path: Path, photos: list[Image], name: bytes) -> None:
    """OpenCV 5 crashed when it was given one."""
    path = os.fsencode(tmp_path) + b"/" + name
    Path(os.fsdecode(path)).write_bytes(saved(photos[0], "JPEG"))
    ended = subprocess.run(
        [sys.executable, "-m", "edgevit", "run", path, "--json"],
        capture_output=True,
        env=environment(),
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    table = subprocess.run(
        [sys.executable, "-m", "edgevit", "run", path],
        capture_output=True,
        env={**environment(), "PYTHONIOENCODING": "ascii"},
        check=False,
        timeout=120,
    )
    assert table.returncode == 0, table.stderr
    assert rb"\x" in table.stdout


def test_a_bundle_whose_name_is_not_utf8(
    tmp_path: Path, edgevit: Command, photo_folder: Path
) -> None:
    """Every native library; the picture is saved under such a name too."""
    bundle = tmp_path / os.fsdecode(b"b\xff.edgevit")
    float_copy(bundle)
    target = tmp_path / os.fsdecode(b"saved\xff.png")
    ended = edgevit("run", bundle, photo_folder / "photo0.png", "--output", target)
    assert ended.code == 0, ended.err
    assert image_io.is_picture(target)


def test_a_video_whose_name_is_not_utf8(tmp_path: Path, clip: Path) -> None:
    """Video too."""
    path = os.fsencode(tmp_path) + b"/clip\xff.mp4"
    Path(os.fsdecode(path)).write_bytes(clip.read_bytes())
    ended = subprocess.run(
        [sys.executable, "-m", "edgevit", "run", path, "--frames", "2", "--json"],
        capture_output=True,
        env=environment(),
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("x.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), "HEIC, which is not read"),
        ("x.jxl", b"\xff\x0a" + bytes(64), "JPEG XL, which is not read"),
        ("x.svg", b"<svg/>", "it is no picture"),
        ("nosuffix", b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(64), "HEIC"),
    ],
)
def test_a_picture_that_is_not_read_is_no_video(
    tmp_path: Path, edgevit: Command, name: str, data: bytes, message: str
) -> None:
    """16: ``run x.heic`` ended with 0 and no answer."""
    (tmp_path / name).write_bytes(data)
    ended = edgevit("run", tmp_path / name)
    assert ended.code == 2
    assert message in ended.one_message


def test_decoders_say_nothing_by_themselves(tmp_path: Path, photos: list[Image]) -> None:
    """Libjpeg's and libpng's warnings, whatever they hold."""
    whole = saved(photos[0], "JPEG")
    scan = whole.index(b"\xff\xda") + 14
    broken = whole[: scan + 4000] + bytes(range(0, 200, 3)) * 20 + whole[scan + 6000 :]
    (tmp_path / "broken.jpg").write_bytes(broken)
    pixels = zlib.compress(bytes(4 * 13))
    text = (b"tEXt", b"note\0\x1b]0;title\x07")
    odd = png(
        png_header(4, 4), (b"gAMA", b"\0\0\0\0"), (b"iCCP", b"x"), text, (b"IDAT", pixels), END
    )
    (tmp_path / "odd.png").write_bytes(odd)
    ended = python("-m", "edgevit", "run", tmp_path, "--json")
    assert ended.code in (0, 2)
    for line in ended.err.splitlines():
        assert line.startswith(("error: ", "note: ")), line


def test_libraries_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    """What a library writes past Python is cleaned, and said once."""
    script = tmp_path / "speak.py"
    script.write_text(
        "import os, sys\n"
        "from edgevit.common.untrusted.native_output import native_output_filtered\n"
        "with native_output_filtered():\n"
        "    for i in range(500):\n"
        "        os.write(2, b'\\x1b]0;title\\x07\\x1b[31mnode %d failed\\n' % i)\n"
        "    os.write(2, b'\\x1b]0;title\\x1b\\\\another node\\n')\n"
        "    os.write(2, b'Corrupt JPEG data: 3 extraneous bytes\\n')\n"
        "    print('own \\udcff', file=sys.stderr)\n"
    )
    ended = python(script)
    assert ended.code == 0
    said = ["library: another node", "library: node 0 failed", "own \\udcff"]
    assert sorted(ended.err.splitlines()) == said


def test_a_jpeg_of_countless_segments_ends_soon() -> None:
    """Every one would be looked at, for minutes."""
    data = b"\xff\xd8" + b"\xff\xe0\x00\x02" * (10 * jpeg.MOST_SEGMENTS)
    extent = jpeg.EndFinder().find(data)
    assert extent is not None
    assert not extent.whole


SEEDS = whole_pictures(np.arange(24 * 24 * 3, dtype=np.uint8).reshape(24, 24, 3))


@pytest.mark.parametrize(("name", "whole"), SEEDS, ids=[name for name, _ in SEEDS])
def test_a_cut_or_changed_picture_is_read_or_refused(name: str, whole: bytes) -> None:
    """A damaged picture gives one clear error or a picture; `make fuzz` goes on for longer."""
    del name
    rng = np.random.default_rng(0)
    changed = [whole[:end] for end in rng.integers(0, len(whole), 40)]
    changed += [changed_bytes(whole, rng) for _ in range(150)]
    refused = 0
    for data in changed:
        try:
            read_picture(data)
        except InputError:
            refused += 1
    assert refused > 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < LIMIT_BYTES >> 10
    read_picture(whole)
