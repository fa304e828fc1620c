"""Where and how a model that answers about places is trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgevit.zoo.spec import ModelSpec


@dataclass(frozen=True)
class DenseRun:
    """See :func:`edgevit.workflows.train.train`. run: the folder that everything goes to."""

    spec: ModelSpec
    run: Path
    init: Path | None
    weights_key: str | None
    resume: bool
    device: str
    threads: int | None
