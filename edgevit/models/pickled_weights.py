"""The one guard around ``torch.load``: sizes checked first, nothing executed, one clean error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from edgevit.common.errors import CheckpointError
from edgevit.common.untrusted.parsers import parsing
from edgevit.models.pickled_claims import refuse_large_claims, refuse_large_file


def read_pickled(path: Path, damaged: Callable[[Path], CheckpointError]) -> Any:
    """What a ``.pth`` or ``.pt`` file holds: tensors, numbers, texts, and containers of them.

    Args:
        damaged: makes the error for a file that cannot be read, or holds anything else.

    Raises:
        CheckpointError: that of ``damaged``; or it claims more memory than it has bytes.
        InputError: no regular file.
    """
    refuse_large_file(path)
    refuse_large_claims(path)
    with parsing(lambda _: damaged(path)):
        return torch.load(path, map_location="cpu", weights_only=True)


def read_pickled_fields(
    path: Path, damaged: Callable[[Path], CheckpointError]
) -> Mapping[str, Any]:
    """The same of a file that holds named fields.

    Raises:
        CheckpointError: see :func:`read_pickled`; or it holds something else.
    """
    content = read_pickled(path, damaged)
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise damaged(path)
    return content
