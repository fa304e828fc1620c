"""Trains the zoo on a CPU, step by step; stopped at any time, it goes on where it was.

    python benchmarks/training/train_zoo.py --imagenette FOLDER --tiny-imagenet FOLDER

Every step is one run of ``edgevit train`` and starts from the step before it: small pictures first,
where an epoch is cheap, then the model's own size; two hundred classes first, then ten. What is
done is not done again. Only runs whose data is given are made. Two cores with nothing else to do
take days for all of it; ``--only`` names models. With a GPU, see ``train_zoo_gpu.py``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgevit.common.errors import EdgevitError
from edgevit.common.progress import progress_for_stderr
from edgevit.training.log import LOG_FILE
from edgevit.workflows.train import TrainResult, train
from edgevit.zoo.registry import find

TINY_IMAGENET, IMAGENETTE = "tiny_imagenet", "imagenette"
TEACHER = "efficientnet_lite0"

_PLAIN = {"random_ops": 0, "erase": 0.0, "mix": 0.0, "crop_area": (0.4, 1.0)}
_CLEAN = {"random_ops": 0, "erase": 0.0, "mix": 0.0, "learning_rate": 2e-4, "warmup_epochs": 0.5}


@dataclass(frozen=True)
class Step:
    """One training run. ``init`` is the step that it starts from; ``options`` are the recipe's."""

    name: str
    model: str
    data: str
    image_px: int
    epochs: int
    init: str | None = None
    teacher: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def weights_name(self) -> str:
        """The file that the run leaves."""
        own = find(self.model).spec.image_px == self.image_px
        return f"{self.model}.safetensors" if own else f"{self.model}@{self.image_px}.safetensors"


def steps() -> Iterator[Step]:
    """All of them, in order."""
    yield from _family("lla_tiny", small_px=64, large_px=128)
    yield from _family("lavit_tiny_128", small_px=64, large_px=128)
    yield Step("lla_micro.200", "lla_micro", TINY_IMAGENET, 64, 40, teacher=TEACHER)
    yield from _family("mobilenet_v3_small", small_px=96, large_px=176)
    yield from _family("vit_tiny", small_px=96, large_px=160)


def _family(model: str, small_px: int, large_px: int) -> Iterator[Step]:
    """Two hundred classes at two sizes, then the ten with a teacher, and clean at the own size."""
    own_px = find(model).spec.image_px
    small, large = f"{model}.200.{small_px}", f"{model}.200.{large_px}"
    ten, clean = f"{model}.10.{large_px}", f"{model}.10"
    yield Step(small, model, TINY_IMAGENET, small_px, 12, options=_PLAIN | {"learning_rate": 2e-3})
    yield Step(large, model, TINY_IMAGENET, large_px, 8, init=small)
    yield Step(ten, model, IMAGENETTE, large_px, 40, init=large, teacher=TEACHER)
    yield Step(clean, model, IMAGENETTE, own_px, 6, init=ten, teacher=TEACHER, options=_CLEAN)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--imagenette", type=Path, help="the folder with train/ and val/")
    parser.add_argument("--tiny-imagenet", type=Path, help="likewise")
    parser.add_argument("--output", type=Path, default=Path("runs/zoo"))
    parser.add_argument("--only", nargs="*", default=[], help="steps by the beginning of the name")
    parser.add_argument("--epochs", type=int, help="of every step, to try it out")
    parser.add_argument("--no-teacher", action="store_true")
    arguments = parser.parse_args()
    data = {IMAGENETTE: arguments.imagenette, TINY_IMAGENET: arguments.tiny_imagenet}
    try:
        for step in steps():
            if data[step.data] is not None and step.name.startswith(tuple(arguments.only or [""])):
                _do(step, data[step.data], arguments)
    except EdgevitError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


def _do(step: Step, data: Path, arguments: argparse.Namespace) -> None:
    run = arguments.output / step.name
    epochs = arguments.epochs or step.epochs
    log = run / LOG_FILE
    if log.is_file() and len(log.read_text(encoding="utf-8").splitlines()) >= epochs:
        print(f"{step.name}  done before")
        return
    result = train(
        step.model,
        data=data,
        output=run,
        init=_start(step, arguments.output),
        image_px=step.image_px,
        teacher=None if arguments.no_teacher else step.teacher,
        resume=(run / "last.pt").is_file(),
        progress=progress_for_stderr(),
        epochs=epochs,
        **step.options,
    )
    assert isinstance(result, TrainResult)
    print(f"{step.name}  top-1 {100 * result.top1:.2f} %  {result.weights}")


def _start(step: Step, output: Path) -> Path | None:
    """The weights of the step before, if it was done (without its data it was not)."""
    if step.init is None:
        return None
    before = next(other for other in steps() if other.name == step.init)
    weights = output / before.name / before.weights_name
    if weights.is_file():
        return weights
    print(f"{step.name}  starts from random weights: {step.init} was not trained")
    return None


if __name__ == "__main__":
    main()
