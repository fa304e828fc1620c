"""Picture files, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from edgevit.common.errors import InputError
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit_runtimes.sources.frame import Decode, UnreadableFrameError


class PictureSource:
    """Every file is a frame; the name is that of the file at hand."""

    live = False
    fps = None
    lag_s = 0.0
    is_behind = False

    def __init__(self, files: Sequence[Path]) -> None:
        self.expected: int | None = len(files)
        self.name = str(files[0])
        self._remaining = iter(files)
        self._file = files[0]

    def grab(self) -> bool:
        file = next(self._remaining, None)
        if file is None:
            return False
        self._file, self.name = file, str(file)
        return True

    def retrieve(self) -> Decode:
        return partial(_read, self._file)

    def close(self) -> None:
        """Nothing is held open."""


def _read(file: Path) -> Image:
    try:
        return image_io.read(file)
    except InputError as error:
        raise UnreadableFrameError(str(error)) from error
