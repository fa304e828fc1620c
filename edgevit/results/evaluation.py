"""How often a deployed model is right on labelled pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.result import Result
from edgevit.common.tables import Section, Table
from edgevit.images.picture_set import PictureSet
from edgevit.inference.accuracy import Accuracy
from edgevit.inference.confidence import calibration_error
from edgevit.results.bundle_summary import note_rows


@dataclass(frozen=True)
class EvaluationResult(Result):
    """accuracy: over the model's classes. picture_set: the pictures it was measured on.

    runtime: its name and version. inference_seconds: of inference alone; total_seconds: with
    reading and resizing. left_out: files of the folder that are no pictures to use, by reason.
    """

    bundle: Bundle
    variant: str
    data: Path
    accuracy: Accuracy
    picture_set: PictureSet
    runtime: str
    threads: int
    inference_seconds: float
    total_seconds: float
    left_out: Mapping[str, int] = field(default_factory=dict)

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

    @property
    def images_per_second(self) -> tuple[float, float]:
        """Of inference alone, and of everything."""
        count = len(self.accuracy.labels)
        return count / self.inference_seconds, count / self.total_seconds

    def to_dict(self) -> dict[str, Any]:
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
            **self.accuracy.to_json(),
            "calibration_error": round(self.calibration_error, 5),
            "temperature": self.bundle.manifest.temperature,
            "images_per_s": {"inference": round(inference, 1), "with_reading": round(overall, 1)},
            "conditions": {
                "runtime": self.runtime,
                "threads": self.threads,
                "resize": self._resize,
            },
            "left_out": dict(self.left_out),
        }

    def sections(self) -> list[Section]:
        inference, overall = self.images_per_second
        summary = [
            *note_rows(self.bundle),
            ("top-1", _percent(self.accuracy.top1.to_json(), with_interval=True)),
            ("top-5", _percent(self.accuracy.top5.to_json(), with_interval=True)),
            ("calibration error", self._confidence),
            ("images", str(len(self.accuracy.labels))),
            ("picture set", self.picture_set.text),
            ("speed", f"{inference:.0f} images/s; {overall:.0f} with reading"),
            ("how", f"{self.runtime}, {self.threads} thread(s), {self._resize}"),
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

    @property
    def _resize(self) -> str:
        return self.bundle.manifest.preprocess.resize_text

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
        title = f"{self.bundle.manifest.model.name} {self.variant} on {self.data}"
        return Table(title, columns, rows, numeric=columns[1:4])


def _percent(share: dict[str, Any], with_interval: bool = False) -> str:
    low, high = share["interval_95"]
    interval = f"  ({100 * low:.1f} to {100 * high:.1f} %)" if with_interval else ""
    return f"{100 * share['share']:.2f} %{interval}"


def _mistaken(row: dict[str, Any]) -> str:
    name = row["most_taken_for"]
    return "" if name is None else f"{name} ({row['most_taken_for_images']})"
