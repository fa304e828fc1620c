"""Prefixes that wrappers put before every name of a state dict.

DistributedDataParallel and DataParallel save ``module.``, Lightning ``model.``, and a compiled
module ``_orig_mod.``; a wrapped wrapper has several.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_PREFIXES = ("module.", "model.", "_orig_mod.")


def without_wrappers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same without every prefix that all names have."""
    named = dict(tensors)
    while prefix := next((p for p in _PREFIXES if named and _all_begin(named, p)), None):
        named = {key.removeprefix(prefix): tensor for key, tensor in named.items()}
    return named


def _all_begin(named: Mapping[str, Tensor], prefix: str) -> bool:
    """Whether each name begins so, and is more than that."""
    return all(key.startswith(prefix) and key != prefix for key in named)
