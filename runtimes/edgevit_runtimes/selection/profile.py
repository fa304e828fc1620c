"""What every node of a variant takes, and which part of the model it belongs to."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import InputError
from edgevit.common.progress import Progress
from edgevit.inference.batches import full_batches
from edgevit.inference.node_names import (
    ATTENTION,
    EMBEDDING,
    GROUPS,
    HEAD,
    IMPORTED,
    SUPERPIXELS,
    UNNAMED,
    group_in,
    group_of,
    module_of,
)
from edgevit.inference.runner import (
    Array,
    LayerTime,
    ProfiledRunner,
    Runner,
    batch_size,
    profiling,
)
from edgevit.zoo.interface.tensors import IMAGE_INPUT
from edgevit_runtimes.backends.open_model import open_variant

_WARMUP = 5
_LAYOUT_OPS = ("ReorderInput", "ReorderOutput")
_SUPERPIXEL_OPS = ("SuperpixelSlic", "SuperpixelPool", "slic", "pool")
# Quantizing writes these; bundles older than their names have them without.
_NAMED_OPS = ("MatMulIntegerToFloat", "DynamicQuantizeMatMul")


@dataclass(frozen=True)
class Layer:
    """A node. module: of the torch model; empty where the runtime does not say."""

    name: str
    module: str
    group: str
    op: str
    microseconds: float


@dataclass(frozen=True)
class Profile:
    """latency_ms: median of an inference without the profiler, which slows the nodes down."""

    variant: str
    runtime: str
    precision: str
    batch: int
    runs: int
    latency_ms: float
    layers: tuple[Layer, ...]

    @property
    def microseconds(self) -> float:
        """Of all nodes together."""
        return sum(layer.microseconds for layer in self.layers)

    def by_group(self) -> dict[str, float]:
        """Microseconds, of the groups that the model has."""
        sums = _sums((layer.group, layer.microseconds) for layer in self.layers)
        order = dict.fromkeys((*GROUPS, *sums, UNNAMED))
        return {group: sums[group] for group in order if group in sums}

    def by_op(self) -> dict[str, float]:
        """Microseconds, the longest first."""
        sums = _sums((layer.op, layer.microseconds) for layer in self.layers)
        return dict(sorted(sums.items(), key=lambda pair: -pair[1]))


def profile(bundle: Bundle, variant: str, runs: int, threads: int, progress: Progress) -> Profile:
    """Runs a variant on the bundle's own pictures, without the profiler and with it.

    Raises:
        EdgevitError: the variant cannot be opened here.
        InputError: its runtime cannot be profiled.
    """
    pictures = bundle.reference().images
    with progress.working(f"profile {variant}"):
        with open_variant(bundle, variant, threads) as runner:
            latency_ms = median(_run(runner, pictures, runs))
        with profiling(), open_variant(bundle, variant, threads) as runner:
            if not isinstance(runner, ProfiledRunner):
                runtime = bundle.manifest.variants[variant].runtime
                raise InputError(f"{variant}: {runtime} cannot be profiled by edgevit yet.")
            _run(runner, pictures, runs)
            times = runner.layer_times()
    entry = bundle.manifest.variants[variant]
    return Profile(
        variant=variant,
        runtime=entry.runtime,
        precision=entry.precision,
        batch=batch_size(runner.inputs, 1),
        runs=runs,
        latency_ms=latency_ms,
        layers=tuple(_layers(times, bundle)),
    )


def _layers(times: Sequence[LayerTime], bundle: Bundle) -> list[Layer]:
    if bundle.manifest.model.family == IMPORTED:
        return imported_layers(times)
    return layers(times, bundle.manifest.superpixel_map is not None)


def imported_layers(times: Sequence[LayerTime]) -> list[Layer]:
    """By the beginnings of their modules' names; a node without one goes with what it leads to."""
    group_of_module = group_in(IMPORTED)
    found: list[Layer] = []
    after = ""
    for node in reversed(times):
        module = module_of(node.name)
        after = module or after
        group = group_of_module(after)
        found.append(Layer(node.name, module, group, node.op, node.microseconds))
    return found[::-1]


def layers(times: Sequence[LayerTime], has_superpixels: bool) -> list[Layer]:
    """Finds the part of the model that every node belongs to.

    A node without a module was made by the runtime, from what stands before a node that has one.
    Before the first block, and before what pooling leads to, these are the bodies of the superpixel
    ops, unless they only change the layout of memory. A quantized product without
    one is of a bundle that was quantized before products were named: nobody knows its part.
    """
    modules = [module_of(node.name) for node in times]
    first_block = next((i for i, m in enumerate(modules) if group_of(m) == ATTENTION), len(times))
    found: list[Layer] = []
    after = HEAD
    for place, node in reversed(list(enumerate(times))):
        after = modules[place] or after
        early = place < first_block or group_of(after) == EMBEDDING
        in_body = has_superpixels and early and not modules[place] and node.op not in _LAYOUT_OPS
        if node.op in _NAMED_OPS and not modules[place]:
            group = UNNAMED
        elif in_body or node.op in _SUPERPIXEL_OPS:
            group = SUPERPIXELS
        else:
            group = group_of(after)
        found.append(Layer(node.name, modules[place], group, node.op, node.microseconds))
    return found[::-1]


def _run(runner: Runner, pictures: Array, runs: int) -> list[float]:
    """Milliseconds of every inference but the first few."""
    size = batch_size(runner.inputs, 1)
    batches = [pictures[places] for places in full_batches(len(pictures), size)]
    times: list[float] = []
    for i in range(_WARMUP + runs):
        started = time.perf_counter()
        runner.infer({IMAGE_INPUT: batches[i % len(batches)]})
        times.append(1000 * (time.perf_counter() - started))
    return times[_WARMUP:]


def _sums(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for name, microseconds in pairs:
        sums[name] += microseconds
    return dict(sums)
