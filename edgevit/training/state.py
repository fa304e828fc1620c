"""The state of a run on disk: everything that the next step depends on."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from edgevit.common.errors import CheckpointError
from edgevit.common.storage.files import write_atomically
from edgevit.models.pickled_weights import read_pickled_fields

STATE_FILE = "last.pt"

# Former names of what is in an identity; runs begun by edgevit 0.1 can be resumed until 0.3.
_FORMER_NAMES = {"calm_epochs": "clean_epochs"}


@dataclass
class RunState:
    """Where a run is.

    ``identity`` is what must be the same for a resume to be exact: model, recipe, data.
    ``step`` counts the finished steps of ``epoch``. ``best_top1`` is a share, 0 to 1.
    """

    identity: dict[str, Any]
    epoch: int = 0
    step: int = 0
    best_top1: float = -1.0
    loss_sum: float = 0.0
    seconds: float = 0.0
    model: dict[str, Any] = field(default_factory=dict)
    average: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    guidance: dict[str, Any] = field(default_factory=dict)

    def save(self, run: Path) -> None:
        """Writes ``run/last.pt``, whole or not at all.

        By way of memory: on a full disk torch's own writer raises an error that names no file.
        """
        content = BytesIO()
        torch.save(vars(self), content)
        write_atomically(run / STATE_FILE, lambda aside: aside.write_bytes(content.getbuffer()))

    @classmethod
    def load(cls, run: Path, identity: dict[str, Any]) -> RunState:
        """Reads ``run/last.pt``.

        Raises:
            CheckpointError: there is none, it is damaged, or it is another run's.
        """
        path = run / STATE_FILE
        if not path.is_file():
            raise CheckpointError(f"Nothing to resume: {path} does not exist. Leave out --resume.")
        content = read_pickled_fields(path, damaged)
        if not content.keys() <= cls.__dataclass_fields__.keys() or not content:
            raise damaged(path)
        state = cls(**content)
        counts_fit = isinstance(state.epoch, int) and isinstance(state.step, int)
        if not counts_fit or not all(
            map(_is_filled_dict, (state.identity, state.model, state.average))
        ):
            raise damaged(path)
        state.identity = {_FORMER_NAMES.get(k, k): value for k, value in state.identity.items()}
        differing = sorted(
            f"{key} was {state.identity.get(key)!r}, now {value!r}"
            for key, value in identity.items()
            if state.identity.get(key) != value
        )
        if differing:
            raise CheckpointError(
                f"{path} is of another run: {'; '.join(differing)}. "
                "Resume with the same options, or start anew in another folder (--output)."
            )
        return state


def damaged(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged and cannot be resumed. Start anew in another folder (--output); the "
        "weights of the best epoch, if there are any, are beside it."
    )


def _is_filled_dict(value: object) -> bool:
    return isinstance(value, dict) and bool(value)
