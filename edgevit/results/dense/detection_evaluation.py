"""How good a deployed detector is on pictures with labelled boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgevit.common.tables import Section, Table
from edgevit.inference.dense.detection_metrics import DetectionAccuracy
from edgevit.results.bundle_summary import note_rows
from edgevit.results.deployed_evaluation import DeployedEvaluation


@dataclass(frozen=True, kw_only=True)
class DetectionEvaluationResult(DeployedEvaluation):
    """accuracy: COCO's average precision."""

    accuracy: DetectionAccuracy

    @property
    def images(self) -> int:
        return self.accuracy.images

    @property
    def ap(self) -> float:
        """Average precision at IoU 0.50 to 0.95, 0 to 1."""
        return self.accuracy.ap

    @property
    def ap50(self) -> float:
        """Average precision at IoU 0.50, 0 to 1."""
        return self.accuracy.ap50

    def to_dict(self) -> dict[str, Any]:
        return self.document({"task": self.bundle.manifest.task, **self.accuracy.to_json()})

    def sections(self) -> list[Section]:
        accuracy = self.accuracy
        rows = [
            (each.name, str(each.boxes), _percent(each.ap), _percent(each.ap50))
            for each in accuracy.by_class
        ]
        columns = ("class", "objects", "AP", "AP50")
        summary = [
            *note_rows(self.bundle),
            ("AP50 (IoU 0.50)", _percent(accuracy.ap50)),
            ("AP (IoU 0.50 to 0.95)", _percent(accuracy.ap)),
            ("objects", f"{accuracy.boxes} in {accuracy.images} images"),
            ("picture set", self.picture_set.text),
            ("speed", f"{self.images_per_second[0]:.0f} images/s"),
            ("how", f"{self.how}, pycocotools"),
        ]
        return [
            Table(self.title, columns, rows, numeric=columns[1:]),
            Table("precision of the deployed model", ("", ""), summary),
        ]


def _percent(share: float | None) -> str:
    return "no objects" if share is None else f"{100 * share:.2f} %"
