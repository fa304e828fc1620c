"""What evaluations of a deployed model have in common, whatever its task."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.result import Result
from edgevit.common.tables import counted
from edgevit.images.picture_set import PictureSet


@dataclass(frozen=True, kw_only=True)
class DeployedEvaluation(Result):
    """picture_set: the pictures it was measured on. runtime: its name and version.

    inference_seconds: of inference alone; total_seconds: with reading and resizing. left_out: what
    of the folder was not used, or was changed, by reason.
    """

    bundle: Bundle
    variant: str
    data: Path
    picture_set: PictureSet
    runtime: str
    threads: int
    inference_seconds: float
    total_seconds: float
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    @abstractmethod
    def images(self) -> int:
        """How many pictures were answered."""

    @property
    def images_per_second(self) -> tuple[float, float]:
        """Of inference alone, and of everything."""
        return self.images / self.inference_seconds, self.images / self.total_seconds

    @property
    def title(self) -> str:
        return f"{self.bundle.manifest.model.name} {self.variant} on {self.data}"

    @property
    def how(self) -> str:
        return f"{self.runtime}, {counted(self.threads, 'thread')}, {self._resize}"

    @property
    def _resize(self) -> str:
        return self.bundle.manifest.preprocess.resize_text

    def document(self, figures: Mapping[str, Any]) -> dict[str, Any]:
        """What was measured, between what was evaluated and how."""
        manifest = self.bundle.manifest
        inference, overall = self.images_per_second
        return {
            "model": manifest.model.name,
            "bundle": str(self.bundle.path),
            "variant": self.variant,
            "file_sha256": manifest.files[manifest.variants[self.variant].file].sha256,
            "trained": manifest.model.trained,
            "weights": manifest.model.weights,
            "data": str(self.data),
            "picture_set": asdict(self.picture_set),
            **figures,
            "images_per_s": {"inference": round(inference, 1), "with_reading": round(overall, 1)},
            "conditions": {
                "runtime": self.runtime,
                "threads": self.threads,
                "resize": self._resize,
            },
            "left_out": dict(self.left_out),
        }
