"""The float reference: the torch module itself, seen as a Runner."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from edgevit.inference.runner import Array, check_feeds
from edgevit.models.classifier import ZooModule
from edgevit.zoo.interface.tensors import IMAGE_INPUT, TensorSpec


class TorchRunner:
    """Every tap of a module, float32 on the CPU. Any batch size."""

    def __init__(self, module: ZooModule) -> None:
        self.module = module.eval()
        size = module.spec.image_px
        self.inputs = (TensorSpec(IMAGE_INPUT, "uint8", ("batch", size, size, 3)),)
        example = torch.zeros((1, size, size, 3), dtype=torch.uint8)
        with torch.inference_mode():
            taps = module.taps(example)
        self.outputs = tuple(_spec(name, tap) for name, tap in taps.items())

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        check_feeds(feeds, self.inputs)
        image = torch.from_numpy(np.ascontiguousarray(feeds[IMAGE_INPUT]))
        with torch.inference_mode():
            return {name: tap.numpy() for name, tap in self.module.taps(image).items()}

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> TorchRunner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _spec(name: str, tap: torch.Tensor) -> TensorSpec:
    rows = tap.shape[0]  # taps of rows (B * tokens) are batched along the first axis too
    leading: str | int = "batch" if rows == 1 else f"batch*{rows}"
    return TensorSpec(name, str(tap.dtype).removeprefix("torch."), (leading, *tap.shape[1:]))
