"""A copy of a bundle that knows which pictures its model was trained on."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import edit
from edgevit.images.training_split import SPLIT_FILE


def bundle_with_split(bundle: Bundle, run: Path, target: Path) -> Path:
    """As of an export from the weights of that run."""
    copy = Path(shutil.copytree(bundle.path, target))
    with edit(Bundle.open(copy)) as draft:
        draft.write(SPLIT_FILE, partial(shutil.copyfile, run / SPLIT_FILE))
    return copy
