"""``edgevit inspect``: what is in a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevit.cli.options import JsonOption, open_bundle, untrained_note

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle, Variant

_SHOWN_LAYERS = 5


def inspect(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle folder. Default: the prebuilt lla_tiny.")
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers", help="The precision of every layer, by variant.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show what is in a bundle: variants, sizes, precision, calibration, parity, accuracy."""
    from edgevit.common.console import print_json

    opened = open_bundle(bundle)
    by_layer = _precisions(opened) if layers else {}
    if json:
        import dataclasses

        content = {"bundle": str(opened.path), **dataclasses.asdict(opened.manifest)}
        print_json({**content, "layers": by_layer} if layers else content)
        return
    _print(opened, by_layer)


def print_variants(title: str, bundle: Bundle) -> None:
    """A table with a row a variant."""
    from edgevit.common.console import print_table

    columns = ("variant", "file MiB", "top-1", "drop, points", "speed", "kept in float")
    chosen = {variant: target for target, variant in bundle.manifest.chosen.items()}
    chosen |= {choice.variant: label for label, choice in bundle.manifest.machines.items()}
    rows = [
        (
            f"{name} (used on {chosen[name]})" if name in chosen else name,
            f"{bundle.variant(name).stat().st_size / 2**20:.1f}",
            *_figures(variant),
        )
        for name, variant in bundle.manifest.variants.items()
    ]
    print_table(title, columns, rows, numeric=columns[1:2])


def _figures(variant: Variant) -> tuple[str, str, str, str]:
    report = variant.report
    if variant.build is not None:
        return f"compiled from {variant.build.source}", "-", "-", f"as {variant.build.source}"
    if not report:
        return "-", "-", "-", "all"
    low, high = report["drop_points_interval_95"]
    speed = report.get("speed")
    kept = report["kept_float"]
    return (
        f"{100 * report['top1']:.2f} % of {report['images']}",
        f"{report['drop_points']:+.2f} ({low:+.2f} to {high:+.2f})",
        "not measured" if speed is None else f"{speed['times_faster']:.2f} x float",
        ", ".join(kept) if kept else "none",
    )


def _precisions(bundle: Bundle) -> dict[str, dict[str, str]]:
    from edgevit.cli.options import require_modules

    require_modules("edgevit inspect --layers", "export", ("onnx",))
    from edgevit_export.quantize.precision import layer_precisions

    files = {name: bundle.variant(name) for name in bundle.manifest.variants}
    return {name: layer_precisions(file) for name, file in files.items() if file.suffix == ".onnx"}


def _print(bundle: Bundle, by_layer: dict[str, dict[str, str]]) -> None:
    from edgevit.common.console import print_line, print_table

    manifest = bundle.manifest
    facts: list[tuple[str, str]] = [
        ("model", f"{manifest.model.name}, {manifest.model.parameters / 1e6:.2f} M parameters"),
        ("weights", manifest.model.weights),
        ("input", ", ".join(map(str, manifest.inputs))),
        ("output", ", ".join(map(str, manifest.outputs))),
        ("preprocessing", f"{manifest.preprocess.resize} to {manifest.preprocess.size_px} px, RGB"),
        ("classes", f"{len(manifest.classes)}: {', '.join(manifest.classes[:10])}"),
        ("exported", f"{manifest.created} by edgevit {manifest.versions.get('edgevit', '?')}"),
    ]
    facts += [(name, _parity(report)) for name, report in manifest.parity.items()]
    if note := untrained_note(bundle):
        facts.insert(0, ("note", note))
    print_table(str(bundle.path), ("", ""), facts)
    print_variants("variants", bundle)
    for name, variant in manifest.variants.items():
        if variant.report.get("calibration"):
            print_line(f"{name}: {_calibration(variant.report)}")
        for line in _layer_lines(variant.report):
            print_line(f"  {line}")
    for name, precisions in by_layer.items():
        print_table(f"{name}: layers", ("layer", "precision"), list(precisions.items()))


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


def _parity(report: Any) -> str:
    return (
        f"{report['images']} pictures, top class agrees on {report['top1_agrees']}, largest logit "
        f"difference {report['max_difference']['logits']:.1e}"
    )


def _calibration(report: Any) -> str:
    smooth = ", smoothed" if report["smoothed"] else ""
    return (
        f"calibrated by {report['calibration']}{smooth} on {report['calibration_images']} images "
        f"(seed {report['calibration_seed']}, SHA-256 {report['calibration_sha256'][:12]}), "
        f"accuracy from {report['accuracy_from']}"
    )
