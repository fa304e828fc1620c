"""Pictures in tar and zip archives are the pictures of the folders that they were packed from."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgevit.common.errors import InputError
from edgevit.common.progress import PlainProgress, SilentProgress
from edgevit.images.image_folder import ImageFolder
from edgevit.images.shards.archive import members_of, read_member
from edgevit.images.shards.image_shards import ImageShards
from edgevit.images.shards.open_labelled import open_labelled
from edgevit.training.data import BatchLoader
from edgevit.training.recipe import Recipe
from edgevit.zoo.interface.preprocess import Preprocess
from support import SHARED_DATA
from support.needs import TINY_IMAGENET


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def class_zips(folder: Path, target: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    target.mkdir()
    for one in sorted(folder.iterdir()):
        with zipfile.ZipFile(target / f"{one.name}.zip", "w", method) as archive:
            for file in sorted(one.iterdir()):
                archive.write(file, file.name)
    return target


def class_tars(folder: Path, target: Path) -> Path:
    target.mkdir()
    for one in sorted(folder.iterdir()):
        with tarfile.open(target / f"{one.name}.tar", "w") as archive:
            for file in sorted(one.iterdir()):
                add(archive, file.name, file.read_bytes())
    return target


def mixed_tars(folder: Path, target: Path, shards: int = 5) -> Path:
    """Every archive holds some of every class, in folders."""
    target.mkdir()
    files = sorted(folder.rglob("*.png"))
    for i in range(shards):
        with tarfile.open(target / f"train-{i:02d}.tar", "w") as archive:
            for file in files[i::shards]:
                add(archive, f"{file.parent.name}/{file.name}", file.read_bytes())
    return target


def webdataset_tars(folder: Path, target: Path) -> Path:
    target.mkdir()
    for i, files in enumerate(np.array_split(sorted(map(str, folder.rglob("*.png"))), 3)):
        with tarfile.open(target / f"{i}.tar", "w") as archive:
            for name in files:
                file = Path(name)
                key = f"{file.parent.name}_{file.stem}"
                add(archive, f"{key}.png", file.read_bytes())
                add(archive, f"{key}.cls", file.parent.name.encode())
    return target


PACKERS = (class_zips, class_tars, mixed_tars, webdataset_tars)


@pytest.mark.parametrize("pack", PACKERS, ids=lambda f: f.__name__)
def test_every_layout_holds_the_same_pictures(class_folder: Path, tmp_path: Path, pack) -> None:
    folder = ImageFolder.open(class_folder)
    shards = open_labelled(pack(class_folder, tmp_path / "shards"), SilentProgress())
    assert isinstance(shards, ImageShards)
    assert shards.classes == folder.classes
    assert sorted(shards.labels) == sorted(folder.labels)
    assert shards.identity("x").sha256 == folder.identity("x").sha256
    assert len(shards.readable(False, 2, SilentProgress())) == len(folder)


def test_class_archives_train_as_the_folder_does(class_folder: Path, tmp_path: Path) -> None:
    """The same pictures in the same order, crop by crop."""
    zips = ImageShards.open(class_zips(class_folder, tmp_path / "zips", zipfile.ZIP_STORED))
    folder = ImageFolder.open(class_folder)
    recipe = Recipe(batch=6)
    batches = [
        list(BatchLoader(images, Preprocess(32), 6, threads=2).training(recipe, epoch=3))
        for images in (folder, zips)
    ]
    assert len(batches[0]) == 3
    for a, b in zip(*batches, strict=True):
        assert (a.images == b.images).all()
        assert (a.labels == b.labels).all()


def test_mixed_archives_are_shuffled_some_at_a_time(class_folder: Path, tmp_path: Path) -> None:
    shards = ImageShards.open(mixed_tars(class_folder, tmp_path / "shards", shards=20))
    orders = [shards.shuffled(np.random.default_rng((0, epoch))) for epoch in (0, 0, 1)]
    assert sorted(orders[0]) == list(range(len(shards)))
    assert (orders[0] == orders[1]).all()
    assert (orders[0] != orders[2]).any()


def test_the_parts_of_processes_are_the_whole_batch(class_folder: Path) -> None:
    class Half:
        count = 2

        def __init__(self, rank: int) -> None:
            self.rank = rank

        def gathered(self, items):
            raise AssertionError("a loader asks nobody")

    folder, recipe = ImageFolder.open(class_folder), Recipe(batch=8, mix=1.0)
    whole = list(BatchLoader(folder, Preprocess(32), 8, 2).training(recipe, epoch=1, first_step=1))
    halves = [
        list(
            BatchLoader(folder, Preprocess(32), 8, 2, Half(rank)).training(
                recipe, epoch=1, first_step=1
            )
        )
        for rank in (0, 1)
    ]
    assert len(whole) == 1
    for batch, *parts in zip(whole, *halves, strict=True):
        assert (batch.images == np.concatenate([part.images for part in parts])).all()
        assert (batch.indices == np.concatenate([part.indices for part in parts])).all()
        assert all(part.mix.share[0] == batch.mix.share[0] for part in parts)
    seen = [
        b.indices
        for rank in (0, 1)
        for b in BatchLoader(folder, Preprocess(32), 8, 2, Half(rank)).evaluation()
    ]
    assert sorted(np.concatenate(seen)) == list(range(len(folder)))


def test_damaged_members_are_named_and_counted(
    class_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = class_zips(class_folder, tmp_path / "zips", zipfile.ZIP_STORED)
    archive = target / "red.zip"
    content = bytearray(archive.read_bytes())
    for member in members_of(archive)[:2]:
        content[member.offset + 200] ^= 255
    archive.write_bytes(content)
    shards = ImageShards.open(target)
    with pytest.raises(InputError, match=r"2 of 20 images cannot be decoded: .*red\.zip/0\.png"):
        shards.readable(False, 2, SilentProgress())
    assert len(shards.readable(True, 2, PlainProgress())) == 18
    assert "skipped: 2 of 20" in capsys.readouterr().err
    with pytest.raises(InputError, match="its CRC is another"):
        read_member(archive, members_of(archive)[0])


def test_damaged_archives_are_refused(class_folder: Path, tmp_path: Path) -> None:
    target = class_tars(class_folder, tmp_path / "tars")
    archive = target / "blue.tar"
    whole = archive.read_bytes()
    third = members_of(archive)[2]
    altered = bytearray(whole)
    altered[third.offset - 512 : third.offset - 400] = b"\xff" * 112
    archive.write_bytes(altered)
    with pytest.raises(InputError, match=r"blue\.tar is damaged after 1\.png: no valid header"):
        ImageShards.open(target)
    archive.write_bytes(b"no archive" * 100)
    with pytest.raises(InputError, match=r"blue\.tar is damaged"):
        ImageShards.open(target)
    archive.write_bytes(whole[: third.offset + 10])
    with pytest.raises(InputError, match=r"blue\.tar"):
        ImageShards.open(target).readable(False, 2, SilentProgress())
    archive.unlink()
    (target / "blue.tar.gz").write_bytes(b"")
    with pytest.raises(InputError, match="compressed as a whole"):
        ImageShards.open(target)


def test_archives_without_a_class_or_a_picture_are_refused(
    class_folder: Path, tmp_path: Path
) -> None:
    target = webdataset_tars(class_folder, tmp_path / "tars")
    with tarfile.open(target / "0.tar", "a") as archive:
        add(archive, "unlabelled.png", b"")
    with pytest.raises(InputError, match=r"1 pictures have no KEY\.cls.*unlabelled\.png"):
        ImageShards.open(target)
    empty = tmp_path / "empty"
    empty.mkdir()
    with tarfile.open(empty / "0.tar", "w") as archive:
        add(archive, "readme.txt", b"nothing")
    with pytest.raises(InputError, match="hold no pictures"):
        ImageShards.open(empty)


@pytest.mark.only_if(TINY_IMAGENET)
def test_tiny_imagenet_is_read_without_unpacking() -> None:
    shards = ImageShards.open(SHARED_DATA / "tiny-imagenet" / "val")
    assert (len(shards), len(shards.classes)) == (5008, 200)
    assert shards.picture(5000).pixels.shape == (64, 64, 3)


def test_a_fingerprint_changes_with_the_pictures(class_folder: Path, tmp_path: Path) -> None:
    first = ImageShards.open(class_zips(class_folder, tmp_path / "a")).fingerprint
    copy = Path(shutil.copytree(class_folder, tmp_path / "copy"))
    assert ImageShards.open(class_zips(copy, tmp_path / "b")).fingerprint == first
    (copy / "red" / "0.png").write_bytes((copy / "red" / "1.png").read_bytes())
    assert ImageShards.open(class_zips(copy, tmp_path / "c")).fingerprint != first
