"""What pictures come in: archives, parquet, annotations with boxes; and ``--config`` files."""

from __future__ import annotations

import json
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pyarrow
import pyarrow.parquet
import typer

from edgevit.cli import app
from edgevit.cli.config_file import options_of
from edgevit.common.errors import InputError
from edgevit.common.progress import SilentProgress
from edgevit.images.labelled_boxes.box_folder import open_box_folder
from edgevit.images.shards.image_shards import ImageShards
from edgevit.workflows.sets.picture_items import items_of
from support.fuzzing.mutations import Rng, changed_file, changed_json, one_of
from support.fuzzing.sandbox import Subject

_SIDE_PX = 9
_TOML = 'data = "images"\nepochs = 40\n[train]\nmean = [0.5, 0.5]\nseed = 1\n'
_YAML = "data: images\nepochs: 40\ntrain:\n  mean: [0.5, 0.5]\n  seed: &seed 1\n  workers: *seed\n"
_VOC = (
    "<annotation><filename>a.png</filename><size><width>9</width><height>9</height></size>"
    "<object><name>cat</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>1</ymin>"
    "<xmax>5</xmax><ymax>6</ymax></bndbox></object></annotation>"
)
_COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": _SIDE_PX, "height": _SIDE_PX}],
    "categories": [{"id": 7, "name": "cat", "supercategory": "animal"}],
    "annotations": [
        {
            "id": 1,
            "image_id": 1,
            "category_id": 7,
            "bbox": [1, 1, 4, 5],
            "iscrowd": 0,
            "segmentation": {"counts": [4, 5, 72], "size": [_SIDE_PX, _SIDE_PX]},
        }
    ],
}
Change = Callable[[bytes, Sequence[bytes], Rng], bytes]


def subjects(scratch: Path, seed: int) -> list[Subject]:
    """One for each format."""

    def subject(
        name: str,
        seeds: Sequence[bytes],
        read: Callable[[bytes], None],
        change: Change = changed_file,
    ) -> Subject:
        def make(number: int) -> bytes:
            rng = np.random.default_rng([seed, number])
            return change(one_of(seeds, rng), seeds, rng)

        return Subject(name, make, read)

    picture = _picture()
    return [
        subject("archive .tar", _tars(picture), _archive_reader(scratch, ".tar")),
        subject("archive .zip", _zips(picture), _archive_reader(scratch, ".zip")),
        subject("parquet", _parquets(picture), _parquet_reader(scratch)),
        subject(
            "COCO annotations",
            [json.dumps(_COCO).encode()],
            _box_reader(scratch, "coco", "boxes.json", picture),
            lambda content, _, rng: changed_json(content.decode(), rng),
        ),
        subject("VOC annotation", [_VOC.encode()], _box_reader(scratch, "voc", "a.xml", picture)),
        subject("config .toml", [_TOML.encode()], _config_reader(scratch, ".toml")),
        subject("config .yaml", [_YAML.encode()], _config_reader(scratch, ".yaml")),
    ]


def _picture() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (_SIDE_PX, _SIDE_PX, 3), np.uint8)
    return bytes(cv2.imencode(".png", pixels)[1])


def _tars(picture: bytes) -> list[bytes]:
    """Of two layouts, and with long names."""
    long = f"cat/{'x' * 300}.png"
    return [
        _tar({"cat/a.png": picture, "dog/b.png": picture}, tarfile.USTAR_FORMAT),
        _tar({"a.png": picture, "a.cls": b"cat"}, tarfile.PAX_FORMAT),
        _tar({long: picture}, tarfile.PAX_FORMAT),
        _tar({long: picture}, tarfile.GNU_FORMAT),
    ]


def _tar(files: dict[str, bytes], form: int) -> bytes:
    whole = BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=form) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, BytesIO(content))
    return whole.getvalue()


def _zips(picture: bytes) -> list[bytes]:
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        whole = BytesIO()
        with zipfile.ZipFile(whole, "w", method) as archive:
            archive.writestr("cat/a.png", picture)
            archive.writestr("dog/b.png", picture)
        found.append(whole.getvalue())
    return found


def _parquets(picture: bytes) -> list[bytes]:
    """Of encoded pictures, with and without a dictionary, and of names."""
    pictures = pyarrow.table({"bytes": [picture, picture], "label": [1, 2]})
    names = pyarrow.table({"path": ["a.png", "b.png"]})
    found = []
    for table, dictionary in ((pictures, True), (pictures, False), (names, True)):
        whole = BytesIO()
        pyarrow.parquet.write_table(table, whole, use_dictionary=dictionary)
        found.append(whole.getvalue())
    return found


def _archive_reader(scratch: Path, suffix: str) -> Callable[[bytes], None]:
    folder = scratch / f"archives{suffix}"
    folder.mkdir()

    def read(content: bytes) -> None:
        (folder / f"some{suffix}").write_bytes(content)
        shards = ImageShards.open(folder)
        for place in range(len(shards)):
            _opened(lambda place=place: shards.picture(place))

    return read


def _parquet_reader(scratch: Path) -> Callable[[bytes], None]:
    file = scratch / "set.parquet"

    def read(content: bytes) -> None:
        file.write_bytes(content)
        for item in items_of([str(file)]):
            _opened(item.picture)

    return read


def _opened(picture: Callable[[], object]) -> None:
    """One that cannot be read is told of beside the others."""
    with suppress(InputError):
        picture()


def _box_reader(scratch: Path, kind: str, name: str, picture: bytes) -> Callable[[bytes], None]:
    root = scratch / kind
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    (root / "images" / "a.png").write_bytes(picture)

    def read(content: bytes) -> None:
        (root / "annotations" / name).write_bytes(content)
        open_box_folder(root, SilentProgress())

    return read


def _config_reader(scratch: Path, suffix: str) -> Callable[[bytes], None]:
    file = scratch / f"options{suffix}"
    group = typer.main.get_command(app)
    command = group.get_command(typer.Context(group), "train")  # type: ignore[attr-defined]
    context = typer.Context(command, info_name="train", parent=None)

    def read(content: bytes) -> None:
        file.write_bytes(content)
        options_of(file, context)

    return read
