"""How good a deployed segmentation model is on labelled pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgevit.common.tables import Section, Table
from edgevit.inference.dense.segmentation_metrics import BORDER_PX, SegmentationAccuracy
from edgevit.results.bundle_summary import note_rows
from edgevit.results.deployed_evaluation import DeployedEvaluation


@dataclass(frozen=True, kw_only=True)
class SegmentationResult(DeployedEvaluation):
    """accuracy: over the model's classes, at the pictures' own size."""

    accuracy: SegmentationAccuracy

    @property
    def images(self) -> int:
        return self.accuracy.images

    @property
    def miou(self) -> float:
        """Mean intersection over union, 0 to 1."""
        return self.accuracy.miou

    @property
    def border_miou(self) -> float:
        """The same among the pixels near borders of labels, 0 to 1: how well outlines fit."""
        return self.accuracy.border_miou

    def to_dict(self) -> dict[str, Any]:
        return self.document({"task": self.bundle.manifest.task, **self.accuracy.to_json()})

    def sections(self) -> list[Section]:
        found = self.accuracy
        columns = ("class", "of the pixels", "IoU", "recall", "precision")
        rows = [
            (row["class"], *(_percent(row[key]) for key in _FIGURES)) for row in found.by_class()
        ]
        inference, overall = self.images_per_second
        summary = [
            *note_rows(self.bundle),
            ("mIoU", _percent(found.miou)),
            (f"mIoU within {BORDER_PX} px of borders", _percent(found.border_miou)),
            ("pixel accuracy", _percent(found.pixel_accuracy)),
            ("images", str(found.images)),
            ("picture set", self.picture_set.text),
            ("speed", f"{inference:.0f} images/s; {overall:.0f} with reading"),
            ("how", f"{self.how}; at the pictures' own size, without void"),
        ]
        return [
            Table(self.title, columns, rows, numeric=columns[1:]),
            Table("masks of the deployed model", ("", ""), summary),
        ]


_FIGURES = ("pixel_share", "iou", "recall", "precision")


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
