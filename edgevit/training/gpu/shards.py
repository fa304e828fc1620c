"""Pictures in a few files: encoded bytes, labels and class names, in shards of a limited size.

A shard is an uncompressed ``.npz`` of plain arrays:

    encoded  uint8 [bytes]   all pictures' files, one after another
    ends     int64 [n]       where each ends
    labels   int64 [n]       places in the class names
    classes  str [classes]   the same in every shard of a set

and is called ``SET.PART.NUMBER.npz``, such as ``imagenette.train.000.npz``.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError
from edgevit.common.storage.files import write_atomically
from edgevit.common.untrusted.parsers import parsing
from edgevit.images import image_io
from edgevit.images.image_files import list_images
from edgevit.images.image_folder import ImageFolder
from edgevit.zoo.interface.preprocess import Preprocess

SHARD_BYTES = 30 * 2**20
_HEADERS = 2**16  # of a shard's names and headers, in bytes
_PER_PICTURE = 16  # its end and its label


@dataclass(frozen=True)
class Encoding:
    """How pictures are stored: shrunk to ``side_px`` and as WebP of that quality (1 to 100)."""

    side_px: int
    quality: int = 85


@dataclass(frozen=True)
class Pictures:
    """pixels: uint8 [n, size, size, 3] RGB. labels: int64 [n]. classes: their names, in order."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def pack(folder: Path, target: Path, name: str, encoding: Encoding | None = None) -> list[Path]:
    """Writes the shards of a folder with one folder a class.

    Args:
        name: of set and part, such as ``imagenette.train``.
        encoding: None to keep every file's own bytes.

    Raises:
        InputError: there are no pictures, or one cannot be read.
    """
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    target.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    files: list[bytes] = []
    labels: list[int] = []
    size = 0
    for label, path in _files(folder, classes):
        content = path.read_bytes() if encoding is None else _encoded(path, encoding)
        if files and size + len(content) > SHARD_BYTES - _HEADERS:
            written.append(
                _write(target / f"{name}.{len(written):03d}.npz", files, labels, classes)
            )
            files, labels, size = [], [], 0
        files.append(content)
        labels.append(label)
        size += len(content) + _PER_PICTURE
    if not files:
        raise InputError(f"{folder} holds no pictures in folders, one a class.")
    written.append(_write(target / f"{name}.{len(written):03d}.npz", files, labels, classes))
    return written


def unpack(folder: Path, name: str, size_px: int, threads: int = 8) -> Pictures:
    """Decodes every shard of that name, resized to a square of ``size_px`` as models are fed.

    Raises:
        InputError: there is no such shard, one is damaged, or they disagree about classes.
    """
    shards = sorted(folder.glob(f"{name}.[0-9][0-9][0-9].npz"))
    if not shards:
        raise InputError(f"{folder} has no shards {name}.000.npz ...; make them with 'pack'.")
    contents = [_read(shard) for shard in shards]
    classes = contents[0].classes
    if any(content.classes != classes for content in contents):
        raise InputError(f"The shards of {name} in {folder} name different classes. Pack again.")
    files = [file for content in contents for file in content.files]
    with ThreadPoolExecutor(threads) as pool:
        pixels = list(pool.map(lambda file: _decoded(file, size_px), files))
    labels = np.concatenate([content.labels for content in contents])
    return Pictures(np.stack(pixels), labels, classes)


def read_folder(folder: Path, size_px: int) -> Pictures:
    """The pictures of a folder with one folder a class, as they are, at a model's size.

    Raises:
        InputError: there are none, or one cannot be read.
    """
    found, preprocess = ImageFolder.open(folder), Preprocess(size_px)
    pixels = np.stack([image_io.resize(image_io.read(file), preprocess) for file in found.files])
    return Pictures(pixels, np.asarray(found.labels, np.int64), found.classes)


@dataclass(frozen=True)
class _Shard:
    files: list[NDArray[np.uint8]]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


def _files(folder: Path, classes: list[str]) -> Iterator[tuple[int, Path]]:
    for label, name in enumerate(classes):
        for path in list_images(folder / name).files:
            yield label, path


def _encoded(path: Path, encoding: Encoding) -> bytes:
    picture = image_io.read(path)
    if min(picture.shape[:2]) > encoding.side_px:
        picture = image_io.resize(picture, Preprocess(encoding.side_px))
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, encoding.quality])[1])


def _write(path: Path, files: list[bytes], labels: list[int], classes: list[str]) -> Path:
    def save(aside: Path) -> None:
        with aside.open("wb") as handle:  # numpy would append .npz to a path
            np.savez(
                handle,
                encoded=np.frombuffer(b"".join(files), np.uint8),
                ends=np.cumsum([len(file) for file in files]),
                labels=np.asarray(labels, np.int64),
                classes=np.asarray(classes),
            )

    write_atomically(path, save)
    return path


def _read(path: Path) -> _Shard:
    with (
        parsing(lambda _: InputError(f"{path} is damaged or no shard of pictures. Pack it again.")),
        np.load(path, allow_pickle=False) as content,
    ):
        files = np.split(content["encoded"], content["ends"][:-1])
        labels = content["labels"]
        classes = tuple(str(name) for name in content["classes"])
    return _Shard(files, labels, classes)


def _decoded(file: NDArray[np.uint8], size_px: int) -> NDArray[np.uint8]:
    picture = image_io.decode(file.tobytes(), "a picture of a shard")
    return image_io.resize(picture, Preprocess(size_px))
