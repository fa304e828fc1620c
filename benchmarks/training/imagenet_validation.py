"""ImageNet-1k's validation archive as one zip a class, for ``edgevit train --val-data``.

    python benchmarks/training/imagenet_validation.py ILSVRC2012_img_val.tar \
        ILSVRC2012_devkit_t12.tar.gz imagenet/val

The development kit says which class every picture is of. Nothing is decoded or encoded again.
"""

from __future__ import annotations

import argparse
import tarfile
import zipfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from edgevit.common.errors import InputError
from edgevit.common.storage.files import write_atomically
from edgevit.common.untrusted.parsers import parsing
from edgevit.images.shards.archive import Member, members_of, read_member

_LABELS = "ILSVRC2012_validation_ground_truth.txt"
_CLASSES = "meta.mat"
_LEAVES = 1000  # of WordNet's tree: the classes; the numbers above are of inner nodes


def class_of_pictures(kit: Path) -> list[str]:
    """The WordNet id of every validation picture, in the order of their numbers.

    Raises:
        InputError: the file is no development kit.
    """
    from scipy.io import loadmat

    with (
        parsing(lambda error: InputError(f"{kit} is no ImageNet development kit: {error}.")),
        tarfile.open(kit) as archive,
    ):
        files = {Path(info.name).name: info for info in archive if info.isreg()}
        labels, classes = (archive.extractfile(files[name]) for name in (_LABELS, _CLASSES))
        if labels is None or classes is None:
            raise KeyError(_LABELS)
        synsets = loadmat(classes, squeeze_me=True)["synsets"]
        names = {int(entry["ILSVRC2012_ID"]): str(entry["WNID"]) for entry in synsets}
        return [names[number] for number in map(int, labels.read().split()) if number <= _LEAVES]


def pack(pictures: Path, classes: Sequence[str], target: Path) -> int:
    """Writes ``target/CLASS.zip`` for every class; returns the number of pictures.

    Args:
        classes: of the pictures, in the order of their names.

    Raises:
        InputError: there are other pictures than classes.
    """
    members = sorted(members_of(pictures), key=lambda member: member.name)
    if len(members) != len(classes):
        raise InputError(
            f"{pictures} holds {len(members)} pictures, the development kit names {len(classes)}."
        )
    by_class: dict[str, list[Member]] = defaultdict(list)
    for member, name in zip(members, classes, strict=True):
        by_class[name].append(member)
    for name, some in by_class.items():

        def write(aside: Path, some: list[Member] = some) -> None:
            with zipfile.ZipFile(aside, "w") as archive:  # JPEGs are compressed already
                for member in some:
                    archive.writestr(Path(member.name).name, read_member(pictures, member))

        write_atomically(target / f"{name}.zip", write)
    return len(members)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, help="ILSVRC2012_img_val.tar")
    parser.add_argument("kit", type=Path, help="ILSVRC2012_devkit_t12.tar.gz")
    parser.add_argument("target", type=Path, help="folder for the zips")
    arguments = parser.parse_args()
    try:
        count = pack(arguments.pictures, class_of_pictures(arguments.kit), arguments.target)
    except InputError as error:
        parser.error(str(error))
    print(f"{count} pictures in {arguments.target}")


if __name__ == "__main__":
    main()
