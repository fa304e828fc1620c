"""What the papers claim, what was measured, and whether the one bears out the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claim.claim_models import BASELINE
from edgevit.results.page.label_places import Box, label_places

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REPRODUCED, PARTLY, NOT = "reproduced", "partly", "not reproduced"
NOT_HERE = "not testable here"
LIGHT, LIGHT_LONG, LIGHT_LINEAR = "carry_l8", "carry_l8_long", "carry_linear"

Row = dict[str, Any]


def verdicts(rows: list[Row], full_size: Sequence[Row]) -> list[dict[str, str]]:
    """Claim, measurement and verdict, for those whose models are among the rows.

    full_size: the plain ViT and a superpixel model at 224 pixels, with what they cost.
    """
    by_key = {row["key"]: row for row in rows}
    found = _cost_verdicts(*full_size)
    found += [
        _verdict(
            f"SPPP + LLA{what}: accuracy comparable, at equal epochs",
            _difference(by_key[key], by_key[BASELINE]),
            _comparable(by_key[key], by_key[BASELINE]),
        )
        for key, what in ((LIGHT, ""), (LIGHT_LINEAR, " with the paper's linear embedding"))
        if {BASELINE, key} <= set(by_key)
    ]
    if {BASELINE, LIGHT_LONG} <= set(by_key):
        found.append(_equal_time(by_key[BASELINE], by_key[LIGHT_LONG]))
    if {"lavit", "lavit_vanilla"} <= set(by_key):
        found += _lavit_verdicts(by_key)
    return found


def _cost_verdicts(vit: Row, light: Row) -> list[dict[str, str]]:
    time = 1 - light["train_epoch_s"] / vit["train_epoch_s"]
    memory = 1 - light["train_activation_mib"] / vit["train_activation_mib"]
    faster = light["times_faster_than_ruler"]
    return [
        _verdict(
            "SPPP + LLA: training time -45 % and more",
            f"{-100 * time:+.0f} % an epoch ({light['train_epoch_s']:.0f} against "
            f"{vit['train_epoch_s']:.0f} s), 224 px",
            _graded(time, full=0.45, part=0.2),
        ),
        _verdict(
            "SPPP + LLA: memory about -90 %",
            f"{-100 * memory:+.0f} % of what is kept for the backward pass "
            f"({light['train_activation_mib']:.0f} against {vit['train_activation_mib']:.0f} MiB), "
            "224 px",
            _graded(memory, full=0.85, part=0.5),
        ),
        _verdict(
            "SPPP + LLA: latency significantly lower",
            f"{faster:.1f} times faster ({light['latency_ms_p50']:.2f} against "
            f"{vit['latency_ms_p50']:.2f} ms), fp32, one core, 224 px",
            _graded(faster, full=2.0, part=1.1),
        ),
    ]


def _equal_time(vit: Row, light: Row) -> dict[str, str]:
    """Longer training of the light model, as long as it takes no more time than the baseline's."""
    seconds = [row["epochs"] * row["train_epoch_s"] for row in (light, vit)]
    return _verdict(
        "SPPP + LLA: accuracy comparable, at equal training time",
        f"{_difference(light, vit)}; {seconds[0]:.0f} s of training against {seconds[1]:.0f} s",
        _comparable(light, vit) if seconds[0] <= 1.05 * seconds[1] else NOT_HERE,
    )


def _lavit_verdicts(rows: dict[str, Row]) -> list[dict[str, str]]:
    lavit, vanilla = rows["lavit"], rows["lavit_vanilla"]
    saved = 1 - lavit["macs"] / vanilla["macs"]
    found = [
        _verdict(
            "LaViT: fewer FLOPs than the same network with vanilla attention",
            f"{-100 * saved:+.1f} % MACs; {vanilla['latency_ms_p50']:.2f} to "
            f"{lavit['latency_ms_p50']:.2f} ms",
            _graded(saved, full=0.2, part=0.01),
        ),
        _verdict(
            "LaViT: accuracy competitive with vanilla attention",
            _difference(lavit, vanilla),
            _comparable(lavit, vanilla),
        ),
    ]
    for key, what in (("lavit_no_residual", "the residual"), ("lavit_no_loss", "the loss")):
        if key in rows:
            found.append(
                _verdict(
                    f"LaViT: {what} helps", _difference(lavit, rows[key]), _better(lavit, rows[key])
                )
            )
    found.append(
        _verdict(
            "LaViT: 79.2 / 82.6 / 83.1 % on ImageNet-1k, COCO, ADE20K", "no such data", NOT_HERE
        )
    )
    return found


def _verdict(claim: str, measured: str, verdict: str) -> dict[str, str]:
    return {"claim": claim, "measured": measured, "verdict": verdict}


def _graded(value: float, full: float, part: float) -> str:
    if value >= full:
        return REPRODUCED
    return PARTLY if value >= part else NOT


def _difference(a: Row, b: Row) -> str:
    points = 100 * (a["top1"]["share"] - b["top1"]["share"])
    return (
        f"{100 * a['top1']['share']:.1f} against {100 * b['top1']['share']:.1f} %, "
        f"{points:+.1f} points, {_epochs(a, b)}, one seed"
    )


def _epochs(a: Row, b: Row) -> str:
    if a["epochs"] == b["epochs"]:
        return f"{a['epochs']} epochs"
    return f"{a['epochs']} against {b['epochs']} epochs"


def _comparable(a: Row, b: Row) -> str:
    """Not below the other's interval: reproduced; intervals that meet: partly."""
    if a["top1"]["share"] >= b["top1"]["interval_95"][0]:
        return REPRODUCED
    return PARTLY if a["top1"]["interval_95"][1] >= b["top1"]["interval_95"][0] else NOT


def _better(a: Row, b: Row) -> str:
    """Beyond the other's interval: reproduced; better, but within it: partly."""
    if a["top1"]["share"] > b["top1"]["interval_95"][1]:
        return REPRODUCED
    return PARTLY if a["top1"]["share"] > b["top1"]["share"] else NOT


def draw_front(rows: list[Row], target: Path) -> None:
    """Accuracy with its interval against latency, a numbered point a model, the names beside."""
    from matplotlib.figure import Figure

    from edgevit.results.plots import save

    figure = Figure(figsize=(10, 5), layout="constrained")
    numbers = {row["key"]: number for number, row in enumerate(rows, 1)}
    axes = figure.subplots()
    for family, marker in (("superpixels", "o"), ("lavit", "s")):
        members = [row for row in rows if row["family"] == family]
        if not members:
            continue
        latency = [row["latency_ms_p50"] for row in members]
        top1 = [100 * row["top1"]["share"] for row in members]
        low, high = zip(*(row["top1"]["interval_95"] for row in members), strict=True)
        below = [t - 100 * edge for t, edge in zip(top1, low, strict=True)]
        above = [100 * edge - t for t, edge in zip(top1, high, strict=True)]
        axes.errorbar(latency, top1, yerr=[below, above], fmt=marker, capsize=3, label=family)
    axes.set(xscale="log", xlabel="latency, ms (fp32, one core)", ylabel="top-1, % (95 %)")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("{x:g}")
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="lower right")
    names = "\n".join(f"{numbers[row['key']]}  {row['model']}" for row in rows)
    axes.text(1.03, 1, names, transform=axes.transAxes, va="top", fontsize=8, linespacing=1.6)
    _number(axes, [(row["latency_ms_p50"], 100 * row["top1"]["share"]) for row in rows])
    save(figure, target)


def _number(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    """Writes 1, 2, ... beside the points, where nothing else is."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # the layout decides where points are
    to_pixels = axes.transData.transform
    places = [(float(x), float(y)) for x, y in (to_pixels(point) for point in points)]
    sizes = [(7.0 * len(str(i)) + 3, 12.0) for i in range(1, len(points) + 1)]
    low, high = axes.transAxes.transform(((0, 0), (1, 1)))
    area = Box(*((low + high) / 2), *(high - low))
    for i, place in enumerate(label_places(places, sizes, area, radius=6), 1):
        x, y = axes.transData.inverted().transform(place)
        axes.text(x, y, str(i), ha="center", va="center", fontsize=8)
