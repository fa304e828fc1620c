"""Pictures of results, with matplotlib (in the ``train`` extra)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError
from edgevit.common.libraries import require_modules
from edgevit.common.storage.files import refuse_target, write_atomically
from edgevit.common.untrusted.bounded import read_text
from edgevit.common.untrusted.parsers import parsing
from edgevit.results import plot_fonts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LARGEST_INCHES, _MOST_NUMBERED = 30.0, 60  # beyond, names and numbers cannot be read
_INCHES_A_LETTER = 0.08
_MOST_LOG_BYTES = 64 << 20
_MOST_MARKED = 30  # epochs, beyond which points only blur the line
_DODGE = 0.012  # of the horizontal axis, from one curve to the next
_SUFFIXES = (".png", ".svg", ".pdf")


def draw_curves(log: Path, target: Path) -> None:
    """A training log (one JSON line an epoch) as curves: loss, top-1 and learning rate.

    Raises:
        InputError: the log is damaged.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    lines = read_text(log, _MOST_LOG_BYTES, "log").splitlines()
    with parsing(lambda reason: InputError(f"{log} is damaged ({reason}). Move it elsewhere.")):
        entries = [json.loads(line) for line in lines]
        columns = {key: [float(entry[key]) for entry in entries] for key in _LOGGED}
        # Logs of earlier versions have no validation loss.
        columns["val_loss"] = [float(entry.get("val_loss", "nan")) for entry in entries]
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    for axes, (title, scale, curves) in zip(figure.subplots(1, 3), _PANELS, strict=True):
        for key, label in curves.items():
            values = [scale * value for value in columns[key]]
            axes.plot(columns["epoch"], values, marker=_marker(values), label=label)
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=2)
    save(figure, target)


_LOGGED = ("epoch", "train_loss", "val_top1", "learning_rate")
_PANELS = (
    ("loss", 1, {"train_loss": "training, augmented pictures", "val_loss": "validation"}),
    ("validation top-1, %", 100, {"val_top1": "validation"}),
    ("learning rate", 1, {"learning_rate": "learning rate"}),
)


def _marker(values: Sequence[float]) -> str:
    """A single epoch is a point, which a line alone would not show."""
    return "." if len(values) < _MOST_MARKED else ""


def draw_confusion(confusion: NDArray[np.int64], classes: Sequence[str], target: Path) -> None:
    """Pictures by label (row) and answer (column); colour is the share of the row."""
    from matplotlib.figure import Figure

    count = len(classes)
    names, style = plot_fonts.shown(classes)
    longest = max(map(len, names)) if count <= _MOST_NUMBERED else 0
    side = min(max(4.0, 0.5 * count + 1.5) + _INCHES_A_LETTER * longest, _LARGEST_INCHES)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if count <= _MOST_NUMBERED:
        axes.set_xticks(range(count), names, rotation=90, **style)
        axes.set_yticks(range(count), names, **style)
    axes.set(xlabel="answer", ylabel="label")
    numbered = np.nonzero(confusion) if count <= _MOST_NUMBERED else ((), ())
    for row, column in zip(*numbered, strict=True):
        shade = "white" if shares[row, column] > 0.5 else "black"
        number = str(confusion[row, column])
        axes.text(column, row, number, ha="center", va="center", color=shade, fontsize=8)
    figure.colorbar(image, label="share of the label's pictures")
    save(figure, target)


def draw_trade_off(
    attempts: Mapping[str, Sequence[tuple[int, float, tuple[float, float]]]],
    target: Path,
    title: str = "",
) -> None:
    """Drop of top-1 (points, with its interval) against how many layers are kept in float.

    Curves stand a little beside each other, so that equal ones do not hide each other.
    title: which pictures it was measured on, and how many.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    most = max(kept for tried in attempts.values() for kept, _, _ in tried)
    for place, (name, tried) in enumerate(attempts.items()):
        kept, drops, intervals = zip(*tried, strict=True)
        below = [drop - low for drop, (low, _) in zip(drops, intervals, strict=True)]
        above = [high - drop for drop, (_, high) in zip(drops, intervals, strict=True)]
        beside = (place - (len(attempts) - 1) / 2) * _DODGE * max(most, 1)
        places = [each + beside for each in kept]
        axes.errorbar(places, drops, yerr=[below, above], fmt="o-", capsize=3, label=name)
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set(xlabel="layers kept in float", ylabel="drop of top-1, points (95 %)", title=title)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8)
    save(figure, target)


def check_picture(option: str, target: Path) -> None:
    """Refuses a picture that could not be drawn, before the work is done.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: the suffix is not one that can be written, or the place cannot be written to.
    """
    require_modules(option, "train", ("matplotlib",))
    if target.suffix.lower() not in _SUFFIXES:
        raise InputError(f"{target} must end in {', '.join(_SUFFIXES)}.")
    refuse_target(target)


def save(figure: Figure, target: Path) -> None:
    """Writes a figure in the format of the suffix, whole or not at all."""
    kind = target.suffix.lower().removeprefix(".")
    with plot_fonts.quiet():
        write_atomically(target, lambda aside: figure.savefig(aside, dpi=120, format=kind))
