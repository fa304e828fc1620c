"""Finds the quantized form of a model that keeps its accuracy: candidates, gate, sensitivity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from edgevit.common.progress import Progress, SilentProgress
from edgevit.inference.agreement import LabelledEvalSet
from edgevit.inference.batches import PictureSource, infer_batches
from edgevit.inference.calibration import Pictures
from edgevit.inference.drop import Drop, answer_error, drop_of
from edgevit.inference.runner import Array, OpenRunner
from edgevit.zoo.tasks import TASK_OUTPUTS, task_of_outputs
from edgevit_export.convert.graph import serialized
from edgevit_export.quantize.observe import Observed, observe_products
from edgevit_export.quantize.products import Product, find_products
from edgevit_export.quantize.ranges import METHODS, Range
from edgevit_export.quantize.schemes import Scheme, quantized
from edgevit_export.quantize.smooth import smoothed

Answers = Mapping[str, Array]  # the outputs of the task, [n, ...] by name

_COMPARED_PICTURES = 64
_SENSITIVITY_PICTURES = 32
AUTO = "auto"
REFERENCE = "onnxruntime"


@dataclass(frozen=True)
class LayerCost:
    """What quantizing one layer alone does.

    error: of the logits, relative and squared. macs_share: of all that are quantized.
    outlier_channels: of its input, those that reach beyond 20 times the median channel.
    """

    name: str
    error: float
    macs_share: float
    outlier_channels: int


@dataclass(frozen=True)
class Attempt:
    """One form whose accuracy was measured."""

    model: ir.Model
    method: str
    smooth: bool
    keep_float: tuple[str, ...]
    drop: Drop

    def to_json(self) -> dict[str, Any]:
        return {
            "calibration": self.method,
            "smoothed": self.smooth,
            "kept_float": list(self.keep_float),
            **self.drop.to_json(),
        }


@dataclass(frozen=True)
class Found:
    """The best attempt, whether it holds, and how it was found."""

    best: Attempt
    holds: bool
    attempts: tuple[Attempt, ...]
    candidates: Mapping[str, float]
    layers: tuple[LayerCost, ...] = ()


@dataclass
class Search:
    """One float model and the pictures that are used on it; what was found once is kept.

    runners: what opens a model's bytes, by runtime; ``onnxruntime`` is always there, and simulates
    the runtimes that are not.
    max_drop: points of the metric that may be lost. method: of :data:`METHODS`, or ``auto`` for
    the one with the least error.
    """

    model: ir.Model
    calibration: Pictures
    evaluation: LabelledEvalSet
    runners: Mapping[str, OpenRunner]
    progress: Progress
    max_drop: float
    method: str = AUTO
    _observed: dict[bool, tuple[ir.Model, dict[str, Observed]]] = field(default_factory=dict)
    _products: dict[tuple[bool, bool], list[Product]] = field(default_factory=dict)
    _ranges: dict[tuple[str, bool], dict[str, Range]] = field(default_factory=dict)
    _float_answers: Answers | None = None

    def run(self, scheme: Scheme, explain: bool = False) -> Found:
        """Tries, and keeps layers in float until the gate holds or none is left.

        Args:
            explain: measure what every layer costs even if the gate holds at once.
        """
        candidates = self._candidates(scheme)
        method, smooth = min(candidates, key=lambda key: candidates[key])
        attempts = [self._attempt(scheme, method, smooth, ())]
        fails = attempts[0].drop.points > self.max_drop
        layers: tuple[LayerCost, ...] = ()
        if fails or explain:
            layers = self._sensitivity(scheme, method, smooth)
        if fails:
            attempts += self._keep_worst_float(scheme, method, smooth, layers)
        best = min(attempts, key=self._rank)
        named = {f"{m}{' smoothed' if s else ''}": e for (m, s), e in candidates.items()}
        holds = best.drop.points <= self.max_drop
        return Found(best, holds, tuple(attempts), named, layers)

    def _rank(self, attempt: Attempt) -> tuple[float, int]:
        """First what holds with the fewest layers in float, else the least drop."""
        over = max(0.0, attempt.drop.points - self.max_drop)
        return over, len(attempt.keep_float)

    def _candidates(self, scheme: Scheme) -> dict[tuple[str, bool], float]:
        """Error of the answers on calibration pictures, by (method, smoothed)."""
        methods = list(METHODS) if self.method == AUTO else [self.method]
        if not scheme.calibrated:
            methods = ["none"]
        keys = [(method, smooth) for smooth in (False, True) for method in methods]
        errors = {}
        with self.progress.bar(f"{scheme.name}: calibrate", len(keys)) as advance:
            for method, smooth in keys:
                model = self._build(scheme, method, smooth, frozenset())
                errors[method, smooth] = self._error(model, _COMPARED_PICTURES)
                advance(1, f"{method}{' smoothed' if smooth else ''}")
        return errors

    def _build(
        self, scheme: Scheme, method: str, smooth: bool, keep_float: frozenset[str]
    ) -> ir.Model:
        ranges = self._ranges_of(method, smooth) if scheme.calibrated else {}
        model = self._base(smooth)[0]
        return quantized(model, scheme, ranges, keep_float, self._products_of(scheme, smooth))

    def _ranges_of(self, method: str, smooth: bool) -> dict[str, Range]:
        """By the name of a product's input."""
        if (method, smooth) not in self._ranges:
            _, observed = self._base(smooth)
            found = {name: METHODS[method](seen) for name, seen in observed.items()}
            self._ranges[method, smooth] = found
        return self._ranges[method, smooth]

    def _products_of(self, scheme: Scheme, smooth: bool) -> list[Product]:
        key = scheme.convolutions, smooth
        if key not in self._products:
            self._products[key] = find_products(self._base(smooth)[0], scheme.convolutions)
        return self._products[key]

    def _base(self, smooth: bool) -> tuple[ir.Model, dict[str, Observed]]:
        """The float model, smoothed or not, and what goes through its products."""
        if smooth not in self._observed:
            model = self.model
            if smooth:
                model = smoothed(self.model, self._base(False)[1])
            seen = observe_products(model, self.calibration, self.runners[REFERENCE])
            self._observed[smooth] = (model, seen)
        return self._observed[smooth]

    def _attempt(
        self, scheme: Scheme, method: str, smooth: bool, keep_float: tuple[str, ...]
    ) -> Attempt:
        model = self._build(scheme, method, smooth, frozenset(keep_float))
        open_runner = self.runners.get(scheme.runtime, self.runners[REFERENCE])
        label = f"{scheme.name}: measure accuracy"
        shown = self.evaluation
        got = answers_of(model, shown.pictures, open_runner, self.progress, label)
        drop = drop_of(shown, got)
        kept = f", {len(keep_float)} layers in float" if keep_float else ""
        lost = f"drop of accuracy {drop.points:+.2f} points"
        self.progress.line(f"{scheme.name}: calibrated by {method}{kept}: {lost}")
        return Attempt(model, method, smooth, keep_float, drop)

    def _sensitivity(self, scheme: Scheme, method: str, smooth: bool) -> tuple[LayerCost, ...]:
        """Every product quantized alone, worst first."""
        products = self._products_of(scheme, False)
        names = [product.name for product in products]
        _, observed = self._base(False)
        costs_macs = [self._macs(product, observed) for product in products]
        total = sum(costs_macs)
        costs = []
        with self.progress.bar(
            f"{scheme.name}: quantize each layer alone", len(products)
        ) as advance:
            for product, macs in zip(products, costs_macs, strict=True):
                others = frozenset(names) - {product.name}
                model = self._build(scheme, method, smooth, others)
                error = self._error(model, _SENSITIVITY_PICTURES)
                outliers = observed[product.source].outlier_channels
                costs.append(LayerCost(product.name, error, macs / total, outliers))
                advance(1, product.name)
        return tuple(sorted(costs, key=lambda cost: -cost.error))

    @staticmethod
    def _macs(product: Product, observed: Mapping[str, Observed]) -> float:
        """Multiply-accumulates a picture: the rows of its input times its matrix."""
        rows = observed[product.source].rows_per_picture * product.rows_of_source
        return rows * product.weight.size

    def _keep_worst_float(
        self, scheme: Scheme, method: str, smooth: bool, layers: tuple[LayerCost, ...]
    ) -> list[Attempt]:
        """Keeps 1, 2, 4 ... of the worst layers in float, until the gate holds."""
        attempts: list[Attempt] = []
        count = 1
        while count < len(layers):
            kept = tuple(layer.name for layer in layers[:count])
            attempts.append(self._attempt(scheme, method, smooth, kept))
            if attempts[-1].drop.points <= self.max_drop:
                break
            count *= 2
        return attempts

    def _error(self, model: ir.Model, count: int) -> float:
        if self._float_answers is None:
            self._float_answers = self._first_answers(self.model, _COMPARED_PICTURES)
        expected = {name: array[:count] for name, array in self._float_answers.items()}
        return answer_error(expected, self._first_answers(model, count))

    def _first_answers(self, model: ir.Model, count: int) -> Answers:
        """To the first pictures of the calibration."""
        pictures = self.calibration.first(count)
        return answers_of(model, pictures, self.runners[REFERENCE], SilentProgress())


def answers_of(
    model: ir.Model,
    pictures: PictureSource,
    open_runner: OpenRunner,
    progress: Progress,
    label: str = "",
) -> Answers:
    """What a model answers to every picture, [n, ...] by name; a bar goes by the label."""
    names = TASK_OUTPUTS[task_of_outputs([str(value.name) for value in model.graph.outputs])]
    answers: dict[str, list[Array]] = {name: [] for name in names}
    with (
        open_runner(serialized(model)) as runner,
        progress.bar(label, len(pictures)) as advance,
    ):
        for outputs in infer_batches(runner, pictures, names=names):
            for name in names:
                answers[name].append(outputs[name])
            advance(len(outputs[names[0]]))
    return {name: np.concatenate(parts) for name, parts in answers.items()}
