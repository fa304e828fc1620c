"""Tensors by name in several files of a limited size, and back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor

from edgevit.common.errors import CheckpointError
from edgevit.common.storage.files import write_atomically
from edgevit.models.pickled_weights import read_pickled_fields

PART_BYTES = 15 * 2**20


def save_parts(folder: Path, name: str, tensors: Mapping[str, Tensor]) -> list[Path]:
    """Writes ``NAME.0of2.pt`` ..., whole or not at all; former parts of that name are removed.

    A tensor is never divided: one larger than a part has a file to itself.
    """
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for key, tensor in tensors.items():
        content = tensor.detach().to("cpu", copy=True)
        if parts[-1] and size + content.nbytes > PART_BYTES:
            parts.append({})
            size = 0
        parts[-1][key] = content
        size += content.nbytes
    folder.mkdir(parents=True, exist_ok=True)
    former = set(_files(folder, name))
    written = []
    for number, part in enumerate(parts):
        path = folder / f"{name}.{number}of{len(parts)}.pt"
        buffer = BytesIO()
        torch.save(part, buffer)
        write_atomically(path, partial(_write, buffer))
        written.append(path)
    for stale in former - set(written):
        stale.unlink()
    return written


def load_parts(folder: Path, name: str) -> dict[str, Tensor] | None:
    """All parts together; None where there is none.

    Raises:
        CheckpointError: a part is missing or damaged.
    """
    files = _files(folder, name)
    if not files:
        return None

    def damaged(path: Path) -> CheckpointError:
        return CheckpointError(f"{path} is damaged. Delete all parts of {name}.")

    expected = int(files[0].name.rsplit("of", 1)[1].removesuffix(".pt"))
    if len(files) != expected:
        raise CheckpointError(
            f"{folder} holds {len(files)} of the {expected} parts of {name}. Copy the others there."
        )
    tensors: dict[str, Tensor] = {}
    for path in files:
        tensors |= read_pickled_fields(path, damaged)
    return tensors


def _write(buffer: BytesIO, aside: Path) -> None:
    aside.write_bytes(buffer.getbuffer())


def _files(folder: Path, name: str) -> list[Path]:
    return sorted(folder.glob(f"{name}.[0-9]of[0-9]*.pt"))
