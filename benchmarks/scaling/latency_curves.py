"""Latency of ``lla_tiny`` in ONNX Runtime against batch, threads, superpixels, latents, pixels.

Every curve changes one thing of the model as it is. Weights are random: they do not change latency.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from cost_curve import Curve, point

from edgevit.bundle.bundle import Bundle
from edgevit.zoo.interface.tensors import IMAGE_INPUT
from edgevit.zoo.registry import find
from edgevit.zoo.spec import LlaSpec
from edgevit_runtimes.backends.open_model import open_variant

_DISCARDED, _ROUNDS = 5, 5  # in turn, so that what else the machine does meets all sizes
BATCHES, THREADS = (1, 2, 4, 8, 16), (1, 2)
GRIDS, LATENTS, SIZES_PX = (2, 3, 4, 5, 7), (2, 4, 8, 16, 32), (96, 128, 160, 224, 320)


def measure(scratch: Path, repetitions: int) -> list[Curve]:
    """Exports every model into ``scratch``, then times it on the cores of this process."""
    spec = find("lla_tiny").spec
    assert isinstance(spec, LlaSpec)
    model = _bundle(spec, scratch)

    def of_spec(changed: LlaSpec) -> list[float]:
        return _times_ms(_bundle(changed, scratch), 1, 1, repetitions)

    def with_grid(side: int) -> LlaSpec:
        superpixels = replace(spec.superpixels, grid=(side, side))
        return replace(spec, name=f"{spec.name}_k{side**2}", superpixels=superpixels)

    def with_latents(count: int) -> LlaSpec:
        return replace(spec, name=f"{spec.name}_l{count}", latents=count)

    return [
        _curve("batch", "pictures a batch", BATCHES, lambda n: _times_ms(model, n, 1, repetitions)),
        _curve("threads", "threads", THREADS, lambda n: _times_ms(model, 1, n, repetitions)),
        _curve("superpixels K", "K", GRIDS, lambda side: of_spec(with_grid(side)), lambda s: s * s),
        _curve("latents L", "L", LATENTS, lambda count: of_spec(with_latents(count))),
        _curve("resolution", "pixels a side", SIZES_PX, lambda px: of_spec(spec.at_size(px))),
    ]


def _curve(
    what: str,
    x: str,
    values: Sequence[int],
    times: Callable[[int], list[float]],
    place: Callable[[int], float] = float,
) -> Curve:
    found: dict[int, list[float]] = {value: [] for value in values}
    for _ in range(_ROUNDS):
        for value in values:
            found[value] += times(value)
    points = tuple(point(place(value), measured) for value, measured in found.items())
    return Curve(f"latency against {what}", x, "latency, ms", points)


def _bundle(spec: LlaSpec, scratch: Path) -> Bundle:
    from edgevit.models.build import build
    from edgevit.workflows.export import export

    target = scratch / f"{spec.name}.edgevit"
    if target.exists():
        return Bundle.open(target)
    return export(build(spec).eval(), target, batch=None, parity_count=2).bundle


def _times_ms(bundle: Bundle, batch: int, threads: int, repetitions: int) -> list[float]:
    side = bundle.manifest.preprocess.size_px
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (batch, side, side, 3), np.uint8)
    times = []
    with open_variant(bundle, "float", threads) as runner:
        for _ in range(_DISCARDED + -(-repetitions // _ROUNDS)):
            started = time.perf_counter()
            runner.infer({IMAGE_INPUT: pictures})
            times.append(1e3 * (time.perf_counter() - started))
    return times[_DISCARDED:]
