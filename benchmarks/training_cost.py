"""What a training step costs: time, and memory that is kept for the backward pass.

    python benchmarks/training_cost.py lla_tiny vit_tiny     # of the zoo, or of claim_models.py

Every model in a fresh process, on random pictures, bfloat16 autocast on the CPU: loading,
augmentation and a teacher are not counted. Activation memory is the sum of all tensors that
autograd keeps for the backward pass, each storage once, without the weights and their bfloat16
copies: the same on every machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from claim.claim_models import CONTENDERS, find_contender
from edgevit.common.console import print_json, print_table
from edgevit.models.build import build
from edgevit.models.classifier import ZooModule
from edgevit.training.losses.objective import loss_of
from edgevit.training.recipe import Recipe

IMAGES = 9469  # of Imagenette's training set: an epoch
BATCH = 128
STEPS, WARM_UP = 8, 2


def measure(key: str, *options: str) -> dict[str, Any]:
    """In a fresh process; see the module's text."""
    command = [sys.executable, __file__, key, *options, "--here"]
    paths = [str(Path(__file__).parent), *sys.path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    finished = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    measured: dict[str, Any] = json.loads(finished.stdout)
    return measured


def _measure_here(key: str, threads: int, batch: int, steps: int) -> dict[str, Any]:
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    entry = find_contender(key)
    recipe = Recipe(**entry.recipe)
    module = build(entry.spec).train()
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)
    size = entry.spec.image_px
    pictures = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8)
    targets = torch.softmax(torch.randn(batch, entry.spec.classes), dim=1)
    activations = _activation_bytes(module, pictures, targets, recipe)
    durations = []
    for _ in range(WARM_UP + steps):
        started = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(module, pictures, targets, recipe)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        durations.append(time.perf_counter() - started)
    step = statistics.median(durations[WARM_UP:])
    return {
        "model": key,
        "step_s": round(step, 4),
        "steps": steps,
        "epoch_s": round(step * (IMAGES // batch), 2),
        "activation_mib": round(activations / 2**20, 1),
        "batch": batch,
        "threads": threads,
    }


def _activation_bytes(module: ZooModule, pictures: Tensor, targets: Tensor, recipe: Recipe) -> int:
    """What one forward pass keeps for the backward pass."""
    weights = {p.untyped_storage().data_ptr() for p in module.parameters()}
    shapes = {tuple(sorted(p.shape)) for p in module.parameters() if p.ndim > 1}
    kept: dict[int, int] = {}

    def is_weight(tensor: Tensor) -> bool:
        """A weight, or the bfloat16 copy of one that autocast makes."""
        is_copy = tensor.dtype == torch.bfloat16 and tuple(sorted(tensor.shape)) in shapes
        return tensor.untyped_storage().data_ptr() in weights or is_copy

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if not is_weight(tensor):
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16),
    ):
        loss = loss_of(module, pictures, targets, recipe)
        total = sum(kept.values())
    del loss
    return total


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    keys = [entry.key for entry in CONTENDERS]
    parser.add_argument("models", nargs="*", help=f"default: {', '.join(keys)}")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--steps", type=int, default=STEPS, help="measured; before them warm-up")
    parser.add_argument("--here", action="store_true", help="in this process, as JSON; one model")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.here:
        sizes = (arguments.threads, arguments.batch, arguments.steps)
        print_json(_measure_here(arguments.models[0], *sizes))
        return
    options = [f"--{name}={getattr(arguments, name)}" for name in ("threads", "batch", "steps")]
    rows = [measure(key, *options) for key in arguments.models or keys]
    if arguments.json:
        print_json(rows)
        return
    table = [
        (row["model"], f"{row['epoch_s']:.1f}", f"{row['activation_mib']:.0f}") for row in rows
    ]
    columns = ("model", "s an epoch", "activations MiB")
    title = (
        f"{arguments.steps} steps of {arguments.batch} pictures, "
        f"{arguments.threads} threads, bfloat16"
    )
    print_table(title, columns, table, numeric=columns[1:])


if __name__ == "__main__":
    main()
