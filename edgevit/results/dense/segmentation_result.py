"""How good a deployed segmentation model is on labelled pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.result import Result
from edgevit.common.tables import Section, Table
from edgevit.images.picture_set import PictureSet
from edgevit.inference.dense.segmentation_metrics import SegmentationAccuracy
from edgevit.results.bundle_summary import note_rows


@dataclass(frozen=True)
class SegmentationResult(Result):
    """accuracy: over the model's classes, at the pictures' own size. left_out: files, by reason."""

    bundle: Bundle
    variant: str
    data: Path
    accuracy: SegmentationAccuracy
    picture_set: PictureSet
    runtime: str
    threads: int
    inference_seconds: float
    total_seconds: float
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def miou(self) -> float:
        """Mean intersection over union, 0 to 1."""
        return self.accuracy.miou

    def to_dict(self) -> dict[str, Any]:
        manifest, count = self.bundle.manifest, self.accuracy.images
        return {
            "model": manifest.model.name,
            "bundle": str(self.bundle.path),
            "task": manifest.task,
            "variant": self.variant,
            "file_sha256": manifest.files[manifest.variants[self.variant].file].sha256,
            "trained": manifest.model.trained,
            "weights": manifest.model.weights,
            "data": str(self.data),
            "picture_set": asdict(self.picture_set),
            **self.accuracy.to_json(),
            "images_per_s": {
                "inference": round(count / self.inference_seconds, 1),
                "with_reading": round(count / self.total_seconds, 1),
            },
            "conditions": {
                "runtime": self.runtime,
                "threads": self.threads,
                "resize": manifest.preprocess.resize_text,
            },
            "left_out": dict(self.left_out),
        }

    def sections(self) -> list[Section]:
        manifest, found = self.bundle.manifest, self.accuracy
        columns = ("class", "of the pixels", "IoU", "recall", "precision")
        rows = [
            (row["class"], *(_percent(row[key]) for key in _FIGURES)) for row in found.by_class()
        ]
        speed = found.images / self.inference_seconds, found.images / self.total_seconds
        summary = [
            *note_rows(self.bundle),
            ("mIoU", _percent(found.miou)),
            ("pixel accuracy", _percent(found.pixel_accuracy)),
            ("images", str(found.images)),
            ("picture set", self.picture_set.text),
            ("speed", f"{speed[0]:.0f} images/s; {speed[1]:.0f} with reading"),
            (
                "how",
                f"{self.runtime}, {self.threads} thread(s), {manifest.preprocess.resize_text}; "
                "at the pictures' own size, without void",
            ),
        ]
        title = f"{manifest.model.name} {self.variant} on {self.data}"
        return [
            Table(title, columns, rows, numeric=columns[1:]),
            Table("masks of the deployed model", ("", ""), summary),
        ]


_FIGURES = ("pixel_share", "iou", "recall", "precision")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
