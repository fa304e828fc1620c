"""What is in a bundle, for people and for programs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgevit.bundle.bundle import FLOAT_VARIANT, Bundle, Variant
from edgevit.bundle.model_notes import untrained_note
from edgevit.bundle.reports import AccuracyReport
from edgevit.common.result import Result
from edgevit.common.schema import to_plain
from edgevit.common.tables import Section, Table
from edgevit.images.picture_set import pictures_key, pictures_text
from edgevit.zoo.tasks import Task

_SHOWN_LAYERS = 5
_SHOWN_CLASSES = 10

_METRICS: dict[Task, str] = {
    "classification": "top-1",
    "segmentation": "mIoU",
    "detection": "AP50",
}


@dataclass(frozen=True)
class BundleSummary(Result):
    """layers: by variant, the precision of every layer by name; empty where nobody asked."""

    bundle: Bundle
    layers: dict[str, dict[str, str]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        content = bundle_document(self.bundle)
        return {**content, "layers": self.layers} if self.layers else content

    def sections(self) -> list[Section]:
        manifest = self.bundle.manifest
        model = manifest.model
        facts = [
            *note_rows(self.bundle),
            ("model", f"{model.name}, {model.parameters / 1e6:.2f} M parameters"),
            ("weights", model.weights),
            *input_rows(self.bundle),
            (
                "classes",
                f"{len(manifest.classes)}: {', '.join(manifest.classes[:_SHOWN_CLASSES])}",
            ),
            ("exported", f"{manifest.created} by edgevit {manifest.versions.get('edgevit', '?')}"),
            *((name, parity_text(report)) for name, report in manifest.parity.items()),
        ]
        return [
            Table(str(self.bundle.path), ("", ""), facts),
            variants_table("variants", self.bundle),
            *accuracy_notes(self.bundle),
            *choice_notes(self.bundle),
            *(line for item in manifest.variants.items() for line in _quantization_lines(*item)),
            *(
                Table(f"{name}: layers", ("layer", "precision"), list(precisions.items()))
                for name, precisions in self.layers.items()
            ),
        ]


def bundle_document(bundle: Bundle) -> dict[str, Any]:
    """The manifest as plain values, and where it is."""
    return {"bundle": str(bundle.path), **to_plain(bundle.manifest)}


def note_rows(bundle: Bundle) -> list[tuple[str, str]]:
    """The same as the first row of a table, if there is anything to say."""
    note = untrained_note(bundle)
    return [("note", note)] if note else []


def input_rows(bundle: Bundle) -> list[tuple[str, str]]:
    """What goes in, what comes out, and how a picture becomes the input."""
    manifest = bundle.manifest
    return [
        ("input", ", ".join(map(str, manifest.inputs))),
        ("output", ", ".join(map(str, manifest.outputs))),
        ("preprocessing", f"{manifest.preprocess.resize_text}, RGB"),
    ]


def variants_table(title: str, bundle: Bundle) -> Table:
    """A row for every variant."""
    metric = _METRICS[bundle.manifest.task]
    columns = ("variant", "file MiB", metric, "drop, points", "times faster", "layers in float")
    rows = [
        (name, f"{bundle.manifest.files[variant.file].bytes / 2**20:.1f}", *_figures(variant))
        for name, variant in bundle.manifest.variants.items()
    ]
    if (known := _float_accuracy(bundle)) is not None:
        rows = [(*row[:2], known, *row[3:]) if row[0] == FLOAT_VARIANT else row for row in rows]
    return Table(title, columns, rows, numeric=("file MiB", metric, "times faster"))


def _float_accuracy(bundle: Bundle) -> str | None:
    """What the drops are measured against, if all of them are against the same."""
    reports = [variant.report for variant in bundle.manifest.variants.values() if variant.report]
    texts = {_accuracy_text({**report, "top1": report["float_top1"]}) for report in reports}
    sets = {pictures_key(r) for v in bundle.manifest.variants.values() if (r := v.accuracy())}
    return texts.pop() if len(texts) == len(sets) == 1 else None


def choice_notes(bundle: Bundle) -> list[str]:
    """Which variant answers, where nobody names one."""
    manifest = bundle.manifest
    return [
        *(f"chosen for {target}: {variant}" for target, variant in manifest.chosen.items()),
        *(f"chosen for {label}: {c.variant}" for label, c in manifest.machines.items()),
    ]


def accuracy_notes(bundle: Bundle) -> list[str]:
    """Which pictures the accuracies of the table are of; several sets are not comparable."""
    by_set: dict[str, tuple[AccuracyReport, list[str]]] = {}
    for name, variant in bundle.manifest.variants.items():
        if (report := variant.accuracy()) is not None:
            by_set.setdefault(pictures_key(report), (report, []))[1].append(name)
    if len(by_set) < 2:
        return [f"accuracy on {pictures_text(report)}" for report, _ in by_set.values()]
    return [
        "note: these accuracies are of different pictures and cannot be compared with each other:",
        *(f"  {', '.join(names)}: {pictures_text(report)}" for report, names in by_set.values()),
    ]


def _figures(variant: Variant) -> tuple[str, str, str, str]:
    report = variant.report
    if variant.build is not None and not report:
        return "-", "-", "-", f"as {variant.build.source}"
    if not report:
        return "-", "-", "-", "all"
    low, high = report["drop_points_interval_95"]
    speed = report.get("speed")
    return (
        _accuracy_text(report),
        f"{report['drop_points']:+.2f} ({low:+.2f} to {high:+.2f})",
        "-" if speed is None else f"{speed['times_faster']:.2f}",
        _kept_layers(report["kept_float"]),
    )


def _kept_layers(kept: Collection[str]) -> str:
    """The one layer, or how many: ``inspect`` names them all below the table."""
    return ("none", *kept)[len(kept)] if len(kept) < 2 else str(len(kept))


def _accuracy_text(report: Mapping[str, Any]) -> str:
    """``80.31 %``; of masks and boxes with the metric: ``mIoU 41.87 %``."""
    share = f"{100 * report['top1']:.2f} %"
    return f"{report['metric']} {share}" if "metric" in report else share


def parity_text(report: Any) -> str:
    """The check that ended an export, as a line."""
    if "agreement" in report:
        return (
            f"{report['images']} pictures, {100 * report['agreement']:.3f} % of the answers agree"
        )
    return (
        f"{report['images']} pictures, top class agrees on {report['top1_agrees']}, largest logit "
        f"difference {report['max_difference']['logits']:.1e}"
    )


def _quantization_lines(name: str, variant: Variant) -> list[str]:
    """What a variant was made from, how it was calibrated, and what its layers cost in accuracy."""
    report = variant.report
    lines = [] if variant.build is None else [f"{name}: compiled from {variant.build.source}"]
    if report.get("calibration"):
        lines.append(f"{name}: {_calibration(report)}")
    if len(kept := report.get("kept_float", ())) > 1:
        lines.append(f"{name}: layers in float: {', '.join(kept)}")
    return lines + [f"  {line}" for line in _layer_lines(report)]


def _calibration(report: Any) -> str:
    smooth = ", smoothed" if report["smoothed"] else ""
    return (
        f"calibrated by {report['calibration']}{smooth} on {report['calibration_images']} images "
        f"(seed {report['calibration_seed']}, SHA-256 {report['calibration_sha256'][:12]}), "
        f"accuracy from {report['accuracy_from']}"
    )


def _layer_lines(report: Any) -> list[str]:
    """The layers that hurt most when they alone are int8, and those with outliers."""
    layers = report.get("layers", [])
    shown = layers[:_SHOWN_LAYERS]
    shown += [layer for layer in layers[_SHOWN_LAYERS:] if layer["outlier_channels"]]
    speed = report.get("speed")
    saved_ms = speed["other_latency_ms_p50"] - speed["latency_ms_p50"] if speed else None
    return [_layer_line(layer, saved_ms) for layer in shown]


def _layer_line(layer: Any, saved_ms: float | None) -> str:
    parts = [f"{layer['name']}: alone, logit error {layer['logit_error']:.2g}"]
    if saved_ms is not None:
        gain_us = 1000 * saved_ms * layer["macs_share"]
        parts.append(f"saves about {gain_us:.0f} us (its share of the MACs)")
    if layer["outlier_channels"]:
        parts.append(f"{layer['outlier_channels']} outlier channels in its input")
    return ", ".join(parts)
