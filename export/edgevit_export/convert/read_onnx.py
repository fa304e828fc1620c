"""ONNX files as they are read: what cannot be understood is one clean error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from edgevit.common.errors import DamagedError, EdgevitError
from edgevit.common.untrusted.sanitize import last_line


def read_onnx(file: Path) -> onnx.ModelProto:
    """A model from a file. Weights that it keeps in other files are not read.

    Raises:
        DamagedError: it is no ONNX model, or cannot be read.
    """
    with understood(file):
        return onnx.load(file, load_external_data=False)


@contextmanager
def understood(file: Path) -> Iterator[None]:
    """The one guard around what reads a model: parser, shape inference, inlining.

    protobuf, onnx and onnx_ir raise errors of many kinds for a file that lies: their own, and
    UnicodeDecodeError, KeyError or TypeError. All of them mean that the file is damaged.

    Raises:
        DamagedError: any of them was raised in the block.
    """
    try:
        yield
    except EdgevitError:
        raise
    except Exception as error:
        reason = last_line(str(error)) if str(error).strip() else type(error).__name__
        raise DamagedError(
            f"{file} is no ONNX model that can be read ({reason}). Export or copy it again."
        ) from error
