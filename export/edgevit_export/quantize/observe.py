"""What goes through a model's tensors on real pictures: extremes and histograms, streamed.

Two passes over the pictures: the first finds the extremes, the second counts between them. Memory
does not grow with the number of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgevit.common.errors import InputError
from edgevit.inference.batches import PictureSource, infer_batches
from edgevit.inference.runner import Array, OpenRunner, Runner
from edgevit_export.convert.graph import copy_of, serialized, values_by_name
from edgevit_export.quantize.products import find_products

BINS = 2048
_OUTLIER = 20


@dataclass
class Observed:
    """One tensor [.., C], or with ``channels_first`` [B, C, H, W], over all pictures.

    low, high: its extremes. channel_peak: float32 [C], the largest magnitude of every channel.
    counts: float64 [BINS], how many values fell between ``low`` and ``high``.
    rows, pictures: how many rows of C values were seen, of how many pictures.
    """

    low: float = np.inf
    high: float = -np.inf
    channel_peak: NDArray[np.float32] | None = None
    counts: NDArray[np.float64] | None = None
    rows: int = 0
    pictures: int = 0
    channels_first: bool = False

    def see_extremes(self, values: Array, pictures: int) -> None:
        if self.channels_first:
            values = np.moveaxis(values, 1, -1)
        rows = values.reshape(-1, values.shape[-1])
        self.rows += len(rows)
        self.pictures += pictures
        peak = np.abs(rows).max(axis=0)
        self.channel_peak = (
            peak if self.channel_peak is None else np.maximum(self.channel_peak, peak)
        )
        # numpy's, unlike Python's, pass a NaN on.
        self.low = float(np.minimum(self.low, rows.min()))
        self.high = float(np.maximum(self.high, rows.max()))

    def count(self, values: Array) -> None:
        if self.counts is None:
            self.counts = np.zeros(BINS)
        found, _ = np.histogram(values, BINS, (self.low, self.high or 1e-6))
        self.counts += found

    @property
    def rows_per_picture(self) -> float:
        return self.rows / max(1, self.pictures)

    @property
    def outlier_channels(self) -> int:
        """Channels that reach beyond 20 times the median channel."""
        if self.channel_peak is None:
            return 0
        return int((self.channel_peak > _OUTLIER * np.median(self.channel_peak)).sum())

    @property
    def edges(self) -> NDArray[np.float64]:
        """float64 [BINS + 1]."""
        return np.linspace(self.low, self.high, BINS + 1)


def with_outputs(model: ir.Model, tensors: Sequence[str]) -> ir.Model:
    """A copy that gives these tensors, float32, as outputs beside its own."""
    copy = copy_of(model)
    made = values_by_name(copy.graph)
    for name in dict.fromkeys(tensors):
        if not made[name].is_graph_output():
            made[name].dtype = made[name].dtype or ir.DataType.FLOAT
            copy.graph.outputs.append(made[name])
    return copy


def observe(
    runner: Runner,
    tensors: Sequence[str],
    pictures: PictureSource,
    channels_first: frozenset[str] = frozenset(),
) -> dict[str, Observed]:
    """Looks at tensors of a model opened with :func:`with_outputs`.

    Args:
        pictures: read twice.
        channels_first: which of the tensors are maps [B, C, H, W].

    Raises:
        InputError: a tensor holds NaN or infinity.
    """
    names = list(dict.fromkeys(tensors))
    found = {name: Observed(channels_first=name in channels_first) for name in names}
    counted = runner.outputs[0].name  # the answer: one for every picture
    for outputs in infer_batches(runner, pictures, names=(counted, *names)):
        for name in names:
            found[name].see_extremes(outputs[name], len(outputs[counted]))
    for name, observed in found.items():
        if not np.isfinite([observed.low, observed.high]).all():
            raise InputError(
                f"The tensor {name} holds NaN or infinity on these pictures; the float model "
                "itself is broken. Export it again from good weights."
            )
    for outputs in infer_batches(runner, pictures, names=names):
        for name in names:
            found[name].count(outputs[name])
    return found


def observe_products(
    model: ir.Model, pictures: PictureSource, open_runner: OpenRunner
) -> dict[str, Observed]:
    """Looks at the inputs of all products of a model, as :func:`observe` does."""
    products = find_products(model, convolutions=True)
    sources = [product.source for product in products]
    maps = frozenset(product.source for product in products if product.convolution is not None)
    with open_runner(serialized(with_outputs(model, sources))) as runner:
        return observe(runner, sources, pictures, maps)
