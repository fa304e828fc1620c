"""Labelled pictures by the name of their folder, whatever lies in it."""

from __future__ import annotations

from pathlib import Path

from edgevit.common.progress import Progress
from edgevit.images.image_folder import open_image_folder
from edgevit.images.labelled_images import LabelledImages
from edgevit.images.shards.image_shards import ImageShards, archives_in


def open_labelled(path: Path, progress: Progress) -> LabelledImages:
    """A folder with one folder a class, or with tar and zip archives right in it.

    Raises:
        InputError: it holds neither, or what cannot be read.
    """
    if not archives_in(path):
        return open_image_folder(path, progress)
    with progress.working(f"list the archives in {path}"):
        return ImageShards.open(path)
