"""What a training step of a dense model costs, against a classifier of its backbone and pixels.

    python benchmarks/training/dense_cost.py --steps 5 --batch 4

Steps of all models in turn, forward, loss, backward and optimiser, on random pictures, on one
thread. The processor's time is taken and not the clock's, so that other work on the machine counts
little. The classifier of ``lla_tiny_seg`` is ``lla_tiny`` at as many pixels: the same trunk, fewer
superpixels.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import cast

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
from edgevit.zoo.registry import find

PAIRS = {  # dense models by their classifier
    "lavit_tiny": ("lavit_tiny_seg", "lavit_tiny_det"),
    "lla_tiny": ("lla_tiny_seg", "lla_tiny_seg_squares"),
}
_OBJECTS = 12  # of a picture, as in BCCD

Loss = Callable[[], torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=5, help="measured; one before them warms up")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for classifier, dense in PAIRS.items():
        seconds = _step_seconds([classifier, *dense], arguments.batch, arguments.steps)
        usual = seconds[classifier]
        rows += [
            {"model": name, "of": classifier, "step_cpu_s": own, "ratio": own / usual}
            for name, own in seconds.items()
        ]
    if arguments.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(f"{row['model']:22} {row['step_cpu_s']:7.2f} s a step   {row['ratio']:.2f} x")


def _step_seconds(names: list[str], batch: int, steps: int) -> dict[str, float]:
    """Median processor seconds of a step, the models in turn."""
    works = {name: _work(name, batch) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for step in range(steps + 1):
        for name, work in works.items():
            before = time.process_time()
            work()
            if step:
                seconds[name].append(time.process_time() - before)
    return {name: statistics.median(each) for name, each in seconds.items()}


def _work(name: str, batch: int) -> Callable[[], None]:
    torch.manual_seed(0)
    spec = find(name).spec
    if spec.task == "classification":
        spec = spec.at_size(find(PAIRS[name][0]).spec.image_px)
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
