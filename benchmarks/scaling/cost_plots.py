"""The curves as small panels of one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cost_curve import Curve

from edgevit.results.plots import check_picture, save

_COLUMNS = 4


def draw(curves: Sequence[Curve], target: Path) -> None:
    """One panel a curve, with its quartiles.

    Raises:
        InputError: the suffix or the place cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    check_picture("--plot", target)
    rows = -(-len(curves) // _COLUMNS)
    figure = Figure(figsize=(3 * _COLUMNS, 2.6 * rows), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).flat
    for axes in panels:
        axes.set_axis_off()
    for axes, curve in zip(figure.axes, curves, strict=False):
        axes.set_axis_on()
        x, middle = [p.x for p in curve.points], [p.median for p in curve.points]
        below = [p.median - p.low for p in curve.points]
        above = [p.high - p.median for p in curve.points]
        axes.errorbar(x, middle, yerr=[below, above], fmt="o-", capsize=2, markersize=3)
        axes.set(xlabel=curve.x, ylabel=curve.y, title=curve.title)
        axes.set_ylim(0, 1.1 * max(p.high for p in curve.points))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))  # no half threads
        axes.grid(alpha=0.3)
        if curve.reference is not None:
            axes.axhline(curve.reference, color="0.4", ls="--", lw=1, label=curve.reference_name)
            axes.legend(fontsize="small")
    save(figure, target)
