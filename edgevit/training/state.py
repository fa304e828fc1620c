"""The state of a run on disk: everything that the next step depends on."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from edgevit.errors import CheckpointError
from edgevit.files import write_atomically
from edgevit.spec import ModelSpec
from edgevit.training.recipe import Recipe

STATE_FILE = "last.pt"


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
    optimizer: dict[str, Any] = field(default_factory=dict)

    def save(self, run: Path) -> None:
        """Writes ``run/last.pt``, whole or not at all."""
        write_atomically(run / STATE_FILE, lambda aside: torch.save(vars(self), aside))

    @classmethod
    def load(cls, run: Path, identity: dict[str, Any]) -> RunState:
        """Reads ``run/last.pt``.

        Raises:
            CheckpointError: there is none, it is damaged, or it is another run's.
        """
        path = run / STATE_FILE
        if not path.is_file():
            raise CheckpointError(f"Nothing to resume: {path} does not exist. Leave out --resume.")
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            state = cls(**content)
        except (pickle.UnpicklingError, RuntimeError, EOFError, TypeError) as error:
            raise CheckpointError(f"{path} is damaged and cannot be resumed: {error}") from error
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


def identity_of(
    model: ModelSpec, recipe: Recipe, classes: tuple[str, ...], training_images: int
) -> dict[str, Any]:
    """What a run is, in plain values, so that reading the file runs no code."""
    plain = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(recipe).items()
    }
    return {
        "model": repr(model),
        "classes": list(classes),
        "training_images": training_images,
        **plain,
    }
