"""How good a deployed detector is on pictures with labelled boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.result import Result
from edgevit.common.tables import Section, Table
from edgevit.images.picture_set import PictureSet
from edgevit.inference.dense.detection_metrics import DetectionAccuracy
from edgevit.results.bundle_summary import note_rows


@dataclass(frozen=True)
class DetectionEvaluationResult(Result):
    """accuracy: COCO's average precision. picture_set: the pictures it was measured on.

    runtime: its name and version. inference_seconds: of inference alone; total_seconds: with
    reading and resizing. left_out: what of the folder was not used, or was changed, by reason.
    """

    bundle: Bundle
    variant: str
    data: Path
    accuracy: DetectionAccuracy
    picture_set: PictureSet
    runtime: str
    threads: int
    inference_seconds: float
    total_seconds: float
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def ap(self) -> float:
        """Average precision at IoU 0.50 to 0.95, 0 to 1."""
        return self.accuracy.ap

    @property
    def ap50(self) -> float:
        """Average precision at IoU 0.50, 0 to 1."""
        return self.accuracy.ap50

    def to_dict(self) -> dict[str, Any]:
        manifest = self.bundle.manifest
        return {
            "model": manifest.model.name,
            "task": manifest.task,
            "bundle": str(self.bundle.path),
            "variant": self.variant,
            "file_sha256": manifest.files[manifest.variants[self.variant].file].sha256,
            "trained": manifest.model.trained,
            "weights": manifest.model.weights,
            "data": str(self.data),
            "picture_set": asdict(self.picture_set),
            **self.accuracy.to_json(),
            "images_per_s": {
                "inference": round(self.accuracy.images / self.inference_seconds, 1),
                "with_reading": round(self.accuracy.images / self.total_seconds, 1),
            },
            "conditions": {
                "runtime": self.runtime,
                "threads": self.threads,
                "resize": manifest.preprocess.resize_text,
            },
            "left_out": dict(self.left_out),
        }

    def sections(self) -> list[Section]:
        manifest, accuracy = self.bundle.manifest, self.accuracy
        rows = [
            (each.name, str(each.boxes), _percent(each.ap), _percent(each.ap50))
            for each in accuracy.by_class
        ]
        columns = ("class", "objects", "AP", "AP50")
        title = f"{manifest.model.name} {self.variant} on {self.data}"
        speed = accuracy.images / self.inference_seconds
        summary = [
            *note_rows(self.bundle),
            ("AP50 (IoU 0.50)", _percent(accuracy.ap50)),
            ("AP (IoU 0.50 to 0.95)", _percent(accuracy.ap)),
            ("objects", f"{accuracy.boxes} in {accuracy.images} images"),
            ("picture set", self.picture_set.text),
            ("speed", f"{speed:.0f} images/s"),
            (
                "how",
                f"{self.runtime}, {self.threads} thread(s), {manifest.preprocess.resize_text}, "
                "pycocotools",
            ),
        ]
        return [
            Table(title, columns, rows, numeric=columns[1:]),
            Table("precision of the deployed model", ("", ""), summary),
        ]


def _percent(share: float | None) -> str:
    return "no objects" if share is None else f"{100 * share:.2f} %"
