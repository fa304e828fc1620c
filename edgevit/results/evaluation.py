"""How often a deployed model is right on labelled pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgevit.common.tables import Section, Table
from edgevit.inference.accuracy import Accuracy
from edgevit.inference.confidence import calibration_error
from edgevit.results.bundle_summary import note_rows
from edgevit.results.deployed_evaluation import DeployedEvaluation


@dataclass(frozen=True, kw_only=True)
class EvaluationResult(DeployedEvaluation):
    """accuracy: over the model's classes."""

    accuracy: Accuracy

    @property
    def images(self) -> int:
        return len(self.accuracy.labels)

    @property
    def top1(self) -> float:
        """Top-1 accuracy, 0 to 1."""
        return self.accuracy.top1.value

    @property
    def top5(self) -> float:
        """Top-5 accuracy, 0 to 1."""
        return self.accuracy.top5.value

    @property
    def calibration_error(self) -> float:
        """Expected calibration error of the bundle's probabilities on these pictures, 0 to 1."""
        temperature = self.bundle.manifest.temperature
        return calibration_error(self.accuracy.logits, self.accuracy.labels, temperature)

    def to_dict(self) -> dict[str, Any]:
        return self.document(
            {
                **self.accuracy.to_json(),
                "calibration_error": round(self.calibration_error, 5),
                "temperature": self.bundle.manifest.temperature,
            }
        )

    def sections(self) -> list[Section]:
        inference, overall = self.images_per_second
        summary = [
            *note_rows(self.bundle),
            ("top-1", _percent(self.accuracy.top1.to_json(), with_interval=True)),
            ("top-5", _percent(self.accuracy.top5.to_json(), with_interval=True)),
            ("calibration error", self._confidence),
            ("images", str(self.images)),
            ("picture set", self.picture_set.text),
            ("speed", f"{inference:.0f} images/s; {overall:.0f} with reading"),
            ("how", self.how),
        ]
        return [
            self._by_class(),
            Table("accuracy of the deployed model, 95 % intervals", ("", ""), summary),
        ]

    @property
    def _confidence(self) -> str:
        """How far probabilities are from how often they are right, and what was done about it."""
        error = f"{100 * self.calibration_error:.1f} %"
        report = self.bundle.manifest.confidence
        if report is None:
            return f"{error}; not calibrated (eval --calibrate)"
        return f"{error}, at temperature {report.temperature:.2f} fitted on {report.images} images"

    def _by_class(self) -> Table:
        columns = ("class", "images", "recall", "precision", "most often mistaken for")
        rows = [
            (
                row["class"],
                str(row["images"]),
                _percent(row["recall"]),
                _percent(row["precision"]),
                _mistaken(row),
            )
            for row in self.accuracy.by_class()
        ]
        return Table(self.title, columns, rows, numeric=columns[1:4])


def _percent(share: dict[str, Any], with_interval: bool = False) -> str:
    low, high = share["interval_95"]
    interval = f"  ({100 * low:.1f} to {100 * high:.1f} %)" if with_interval else ""
    return f"{100 * share['share']:.2f} %{interval}"


def _mistaken(row: dict[str, Any]) -> str:
    name = row["most_taken_for"]
    return "" if name is None else f"{name} ({row['most_taken_for_images']})"
