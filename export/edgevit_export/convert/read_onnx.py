"""ONNX files as they are read: what cannot be understood is one clean error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from edgevit.common.errors import DamagedError
from edgevit.common.untrusted.parsers import parsing


def read_onnx(file: Path) -> onnx.ModelProto:
    """A model from a file. Weights that it keeps in other files are not read.

    Raises:
        DamagedError: it is no ONNX model, or cannot be read.
    """
    with understood(file):
        return onnx.load(file, load_external_data=False)


@contextmanager
def understood(file: Path) -> Iterator[None]:
    """The guard around protobuf, onnx and onnx_ir: parser, shape inference, inlining, and the
    code of ours that looks up what a whole model has.

    Raises:
        DamagedError: the file is no model, or one that contradicts itself.
    """
    with parsing(
        lambda reason: DamagedError(
            f"{file} is no ONNX model that can be read ({reason}). Export or copy it again."
        )
    ):
        yield
