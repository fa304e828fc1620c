"""Picture files, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgevit.common.errors import InputError
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit_runtimes.sources.frame import UnreadableFrameError


class PictureSource:
    """Every file is a frame; the name is that of the file at hand."""

    live = False
    fps = None

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

    def retrieve(self) -> Image:
        try:
            return image_io.read(self._file)
        except InputError as error:
            raise UnreadableFrameError(str(error)) from error

    def close(self) -> None:
        """Nothing is held open."""
