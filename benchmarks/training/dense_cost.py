"""What a training step of a dense model costs, against a classifier of its backbone and pixels.

    python benchmarks/training/dense_cost.py --steps 5 --batch 4

Steps of all models in turn, forward, loss, backward and optimiser, on random pictures, on one
thread. The processor's time is taken and not the clock's, so that other work on the machine counts
little. The classifier of a model on superpixels has the same trunk, superpixels and layers, and one
answer from its CLS token.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any, cast

import torch

from edgevit.models.build import build
from edgevit.models.classifier import ZooModule
from edgevit.models.dense.detector import LavitDetector
from edgevit.training.dense.detection_loss import detection_loss
from edgevit.training.dense.detection_targets import Truth
from edgevit.training.dense.segmentation_loop import segmentation_loss
from edgevit.training.hardware import has_fast_bfloat16
from edgevit.training.losses.objective import loss_of
from edgevit.training.recipe import Recipe
from edgevit.zoo.dense_spec import LavitDenseSpec
from edgevit.zoo.registry import find
from edgevit.zoo.spec import LlaSpec, ModelSpec

MODELS = ("lavit_tiny_seg", "lavit_tiny_det", "lla_tiny_seg", "lla_tiny_seg_squares")
_OBJECTS = 12  # of a picture, as in BCCD

Loss = Callable[[], torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--steps", type=int, default=5, help="measured; one before them warms up")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = [_row(model, arguments.batch, arguments.steps) for model in arguments.models]
    if arguments.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(
            f"{row['model']:22} {row['step_cpu_s']:.2f} s a step, its classifier "
            f"{row['classifier_step_cpu_s']:.2f} s: {row['ratio']:.2f} times"
        )


def _row(model: str, batch: int, steps: int) -> dict[str, Any]:
    spec = find(model).spec
    own, usual = _step_seconds([spec, classifier_of(spec)], batch, steps)
    return {
        "model": model,
        "step_cpu_s": own,
        "classifier_step_cpu_s": usual,
        "ratio": own / usual,
    }


def classifier_of(spec: ModelSpec) -> ModelSpec:
    """Of the same backbone and pixels."""
    if isinstance(spec, LavitDenseSpec):
        return spec.backbone
    shared = {field.name: getattr(spec, field.name) for field in fields(LlaSpec) if field.init}
    return LlaSpec(**shared)


def _step_seconds(specs: list[ModelSpec], batch: int, steps: int) -> list[float]:
    """Median processor seconds of a step, the models in turn."""
    works = [_work(spec, batch) for spec in specs]
    seconds: list[list[float]] = [[] for _ in specs]
    for step in range(steps + 1):
        for work, mine in zip(works, seconds, strict=True):
            before = time.process_time()
            work()
            if step:
                mine.append(time.process_time() - before)
    return [statistics.median(each) for each in seconds]


def _work(spec: ModelSpec, batch: int) -> Callable[[], None]:
    torch.manual_seed(0)
    module = build(spec).train()
    optimizer = torch.optim.AdamW(module.parameters(), fused=True)
    bfloat16 = has_fast_bfloat16("cpu")
    loss_now = _loss(module, batch)

    def work() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = loss_now()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()

    return work


def _loss(module: ZooModule, batch: int) -> Loss:
    """The loss of random pictures and labels, by the model's task."""
    spec, size = module.spec, module.spec.image_px
    images = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8)
    if spec.task == "segmentation":
        labels = torch.randint(0, spec.classes, (batch, size // 32, size // 32), dtype=torch.uint8)
        labels = labels.repeat_interleave(32, 1).repeat_interleave(32, 2)
        weights = torch.ones(spec.classes)
        return lambda: segmentation_loss(module, images, labels, weights)
    if spec.task == "detection":
        detector, truth = cast(LavitDetector, module), [_truth(spec.classes, size)] * batch
        return lambda: detection_loss(detector.dense(images), truth, detector.decode)
    targets = torch.softmax(torch.randn(batch, spec.classes), dim=1)
    recipe = Recipe()
    return lambda: loss_of(module, images, targets, recipe)


def _truth(classes: int, size: int) -> Truth:
    corners = torch.rand(_OBJECTS, 2) * size * 0.8
    sides = 8 + torch.rand(_OBJECTS, 2) * size * 0.2
    return Truth(torch.cat([corners, corners + sides], 1), torch.randint(0, classes, (_OBJECTS,)))


if __name__ == "__main__":
    main()
