"""Which folders of a data set train and validate: ``DATA/train`` and ``DATA/val``, or ``DATA``."""

from __future__ import annotations

from pathlib import Path


def training_folders(data: Path, val_data: Path | None) -> tuple[Path, Path | None]:
    """(training, validation); None where a part of the training pictures is to be held out.

    Args:
        val_data: asked for; it goes before ``DATA/val``.
    """
    split = data / "train"
    if not split.is_dir():
        return data, val_data
    inside = data / "val"
    return split, val_data or (inside if inside.is_dir() else None)


def validation_folder(data: Path) -> Path:
    """``DATA/val`` where there is one, else ``DATA``."""
    inside = data / "val"
    return inside if inside.is_dir() else data
