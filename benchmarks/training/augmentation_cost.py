"""Processor time of augmenting one picture: ours beside kornia's, which is installed apart.

    pip install kornia
    python benchmarks/training/augmentation_cost.py --repeats 20

One thread, 224 to 128 pixels: crop, mirror, two operations of RandAugment, erasing.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from edgevit.training.augmentation.augment import crop, disturb, mirrored
from edgevit.training.recipe import Recipe

_PICTURES, _STORED_PX, _SIZE_PX = 64, 224, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    shape = (_PICTURES, _STORED_PX, _STORED_PX, 3)
    pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for name, augment in (("ours", _ours(pictures)), ("kornia", _kornia(pictures))):
        augment()
        times = [_milliseconds(augment) for _ in range(repeats)]
        print(f"{name:8} median {statistics.median(times):.2f} ms  least {min(times):.2f} ms")


def _milliseconds(augment: Callable[[], object]) -> float:
    """Processor time of one picture."""
    started = time.process_time()
    augment()
    return 1e3 * (time.process_time() - started) / _PICTURES


def _ours(pictures: np.ndarray) -> Callable[[], object]:
    recipe = Recipe()

    def one(index: int) -> np.ndarray:
        rng = np.random.default_rng((0, index))
        view = crop(pictures[index], _SIZE_PX, recipe, rng)
        return disturb(mirrored(view) if index % 2 else view, recipe, rng)

    return lambda: np.stack([one(index) for index in range(_PICTURES)])


def _kornia(pictures: np.ndarray) -> Callable[[], object]:
    from kornia import augmentation  # type: ignore[import-not-found, unused-ignore]

    steps = augmentation.AugmentationSequential(
        augmentation.RandomResizedCrop((_SIZE_PX, _SIZE_PX), scale=Recipe.crop_area),
        augmentation.RandomHorizontalFlip(),
        augmentation.auto.RandAugment(n=Recipe.random_ops, m=15),
        augmentation.RandomErasing(p=Recipe.erase),
    )
    batch = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    return lambda: steps(batch.float() / 255)


if __name__ == "__main__":
    main()
