"""Which of the weights in a ``.pth`` file are meant: their moving average, where there is one.

Training scripts save the current weights beside an exponential moving average (EMA) of them. The
average is what was validated, and answers better: DeiT and torchvision call it ``model_ema``, timm
``state_dict_ema``, our own ``last.pt`` ``average``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevit.common.errors import CheckpointError

_AVERAGES = ("model_ema", "state_dict_ema", "ema_state_dict", "ema", "average")
_CURRENT = ("model", "state_dict", "model_state_dict")
_COUNTER = "n_averaged"  # of torch's AveragedModel, whose weights are those of its ``module``
_MODULE = "module."


@dataclass(frozen=True)
class WeightSet:
    """weights: whatever the file holds there. name: its key, None where the file has no keys.

    others: keys of the weights that were not taken.
    """

    weights: Any
    name: str | None = None
    others: tuple[str, ...] = ()

    def __str__(self) -> str:
        """For a person: ``model_ema (not model)``; empty where there was no choice."""
        if self.name is None or (self.name in _CURRENT and not self.others):
            return ""
        return f"{self.name} (not {', '.join(self.others)})" if self.others else self.name


def weight_set(content: Any, wanted: str | None, path: Path) -> WeightSet:
    """The set of weights in a file's content; the average before the current ones.

    Args:
        wanted: the key to take instead.

    Raises:
        CheckpointError: the file has no weights of that key; those that it has are named.
    """
    sets = _sets(content)
    if wanted is not None and wanted not in sets:
        there = f"it has {', '.join(sets)}" if sets else "it is one set of weights without a key"
        raise CheckpointError(
            f"{path} has no weights called '{wanted}'; {there}. Choose with --weights-key, or "
            "leave it out."
        )
    known = [key for key in (*_AVERAGES, *_CURRENT) if key in sets]
    name = wanted or next(iter(known), None)
    if name is None:
        return WeightSet(_of_module(content))
    weights = sets[name]
    for inner in _CURRENT:  # {"model": {"state_dict": ...}}
        weights = _sets(weights).get(inner, weights)
    return WeightSet(_of_module(weights), name, tuple(key for key in known if key != name))


def _sets(content: Any) -> dict[str, Mapping[Any, Any]]:
    """What is filled with names: weights, and perhaps other things; a tensor is not."""
    if not isinstance(content, Mapping):
        return {}
    return {
        key: value
        for key, value in content.items()
        if isinstance(key, str) and isinstance(value, Mapping) and value
    }


def _of_module(weights: Any) -> Any:
    """What torch's AveragedModel saves, as its module would."""
    if not isinstance(weights, Mapping) or _COUNTER not in weights:
        return weights
    return {
        str(key).removeprefix(_MODULE): value for key, value in weights.items() if key != _COUNTER
    }
