"""How much memory a ``.pth`` file asks for, found out before torch gives it.

``torch.load(weights_only=True)`` executes nothing, but believes sizes: a storage of 15 GiB is taken
before it is read, and a compressed archive unfolds. Here the pickle inside is walked with every
name in it replaced by a stand-in, and the storages are added up.
"""

from __future__ import annotations

import math
import os
import pickle
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_STORED, BadZipFile, ZipFile, is_zipfile

from edgevit.common.errors import CheckpointError
from edgevit.common.untrusted.bounded import open_regular

MOST_BYTES = 4 << 30
_MOST_PICKLE_BYTES = 64 << 20
_LEGACY_PICKLES = 4  # before 1.6: magic number, protocol, system, and the object itself

# What is not here takes a byte at the least.
_ELEMENT_BYTES = {
    "torch.HalfStorage": 2,
    "torch.BFloat16Storage": 2,
    "torch.ShortStorage": 2,
    "torch.FloatStorage": 4,
    "torch.IntStorage": 4,
    "torch.DoubleStorage": 8,
    "torch.LongStorage": 8,
    "torch.ComplexFloatStorage": 8,
    "torch.ComplexDoubleStorage": 16,
}


def refuse_large_file(path: Path) -> None:
    """Refuses what is no regular file, or larger than any model here.

    Raises:
        CheckpointError: its size, and what is read at most.
        InputError: no regular file.
    """
    with open_regular(path, "checkpoint") as file:
        size = os.fstat(file.fileno()).st_size
    if size > MOST_BYTES:
        raise CheckpointError(
            f"{path} has {size >> 20} MiB; checkpoints of at most {MOST_BYTES >> 20} MiB are read."
        )


def refuse_large_claims(path: Path) -> None:
    """Refuses a checkpoint that unfolds, or claims storages that its bytes cannot fill.

    Raises:
        CheckpointError: what is claimed, and what is there.
        InputError: no regular file.
    """
    with open_regular(path, "checkpoint") as file:
        size = os.fstat(file.fileno()).st_size
        try:
            claimed = _claimed(file)
        except Exception as error:  # a damaged pickle can raise anything
            raise CheckpointError(
                f"{path} cannot be read as plain weights; it is damaged. "
                "Save it again as torch.save(model.state_dict(), path), or as safetensors."
            ) from error
    if claimed > size:
        raise CheckpointError(
            f"{path} claims tensors of {claimed} bytes, but has {size}: it is damaged. "
            "Fetch it again."
        )


def _claimed(file: BinaryIO) -> int:
    """Bytes that torch would take, at the least."""
    if not is_zipfile(file):
        file.seek(0)
        head = BytesIO(file.read(_MOST_PICKLE_BYTES))
        return [_asked_for(head) for _ in range(_LEGACY_PICKLES)][-1]
    with ZipFile(file) as archive:
        members = archive.infolist()
        unfolded = sum(member.file_size for member in members)
        if any(member.compress_type != ZIP_STORED for member in members):
            return unfolded
        pickles = [m for m in members if m.filename.endswith("/data.pkl")]
        if len(pickles) != 1 or pickles[0].file_size > _MOST_PICKLE_BYTES:
            raise BadZipFile("no data.pkl of a usual size")
        return max(unfolded, _asked_for(BytesIO(archive.read(pickles[0]))))


def _asked_for(content: BytesIO) -> int:
    meter = _Meter(content)
    meter.load()
    return sum(meter.storages.values()) + meter.called_for


# Python's own unpickler: that in C takes memory for the number of a memo, whatever it is.
class _Meter(pickle._Unpickler):
    """Adds up what a pickle asks for; no name in it is looked up, nothing of it is called."""

    def __init__(self, content: BytesIO) -> None:
        super().__init__(content)
        self.storages: dict[object, int] = {}
        self.called_for = 0

    def find_class(self, module: str, name: str) -> Any:
        return _StandIn(f"{module}.{name}", self)

    def persistent_load(self, pid: Any) -> Any:
        """A storage: ``("storage", type, key, place, elements, ...)``."""
        _, kind, key, _, elements = pid[:5]
        self.storages[key] = int(elements) * _ELEMENT_BYTES.get(str(kind), 1)
        return _StandIn("storage", self)


class _StandIn:
    """What stands for every class, function and object that a pickle names."""

    def __init__(self, name: str, meter: _Meter) -> None:
        self._name, self._meter = name, meter

    def __str__(self) -> str:
        return self._name

    def __call__(self, *arguments: object) -> _StandIn:
        """A tensor or bytes of so many elements; rebuilt tensors have a storage of their own."""
        sizes = [a for a in arguments if isinstance(a, int) and not isinstance(a, bool)]
        if sizes and "._rebuild_" not in self._name:
            self._meter.called_for += math.prod(max(0, size) for size in sizes)
        return _StandIn(f"{self._name}()", self._meter)

    def __setstate__(self, state: object) -> None:
        del state

    def __setitem__(self, key: object, value: object) -> None:
        del key, value

    def append(self, item: object) -> None:
        del item

    def extend(self, items: object) -> None:
        del items
