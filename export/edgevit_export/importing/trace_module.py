"""A torch module of any maker, traced to ONNX and kept as a function: to be imported."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from edgevit.common.errors import InputError
from edgevit.common.untrusted.parsers import parsing
from edgevit.inference.runner import Array
from edgevit.zoo.interface.tensors import LOGITS
from edgevit_export.convert.trace import to_onnx
from edgevit_export.importing.read_classifier import standard_model


@dataclass(frozen=True)
class TracedModule:
    """model: the ONNX model. answer: prepared pictures to the module's answers, [B, ...]."""

    model: onnx.ModelProto
    answer: Callable[[Array], Array]
    parameters: int


class _OneOutput(nn.Module):
    """Pictures in, one tensor out: of a dictionary, as transformers give it, its logits."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor) -> Tensor:
        answer: Any = self.module(image)
        if isinstance(answer, Mapping) and LOGITS in answer:
            answer = answer[LOGITS]
        if not isinstance(answer, Tensor):
            raise InputError(
                f"The module answers with {_described(answer)}; expected one tensor, [B, classes], "
                "or a dictionary with 'logits'. Wrap it in a module that gives these."
            )
        return answer


def trace_module(module: nn.Module, example: object, batch: int | None) -> TracedModule:
    """Traces a copy, on the CPU and in eval mode; the module stays as it is.

    Args:
        example: an input, a float32 or uint8 tensor or array, [B, 3, H, W] or [B, H, W, 3].
        batch: a fixed batch size, or None for any.

    Raises:
        InputError: the module does not take the example, or torch cannot trace it.
    """
    given = _tensor(example)
    kind = type(module).__name__
    with parsing(lambda reason: InputError(f"{kind} cannot be copied to the CPU: {reason}.")):
        ours = _OneOutput(copy.deepcopy(module)).cpu().float().eval().requires_grad_(False)
    with parsing(lambda reason: InputError(_refused(kind, given, reason))), torch.inference_mode():
        ours(given[:1])
    # With one picture torch takes the batch for fixed.
    traced = given[:1].expand(batch or 2, *given.shape[1:]).clone()
    with parsing(lambda reason: InputError(_untraceable(kind, reason))):
        model = to_onnx(ours, traced, [LOGITS], dynamic_batch=batch is None)
        model = standard_model(model, kind)

    def answer(images: Array) -> Array:
        with torch.inference_mode():
            return np.asarray(ours(torch.from_numpy(images)).numpy())

    return TracedModule(model, answer, sum(each.numel() for each in module.parameters()))


def _tensor(example: object) -> Tensor:
    if isinstance(example, np.ndarray):
        example = torch.from_numpy(np.ascontiguousarray(example))
    if not isinstance(example, Tensor):
        raise InputError(
            f"example is {_described(example)}; expected an input of the module, such as "
            "torch.zeros(1, 3, 224, 224)."
        )
    if example.dim() != 4 or not len(example):
        raise InputError(
            f"example is a tensor {list(example.shape)}; expected a batch of pictures, "
            "[1, 3, H, W] or [1, H, W, 3]."
        )
    kept = example.detach().cpu()
    return kept if kept.dtype == torch.uint8 else kept.float()


def _described(value: object) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def _refused(kind: str, example: Tensor, reason: str) -> str:
    return (
        f"{kind} does not take the example {list(example.shape)}: {reason}. Give an input that it "
        "takes."
    )


def _untraceable(kind: str, reason: str) -> str:
    return (
        f"torch cannot trace {kind} to ONNX: {reason}. Export it by yourself "
        "(torch.onnx.export), and import the file: edgevit import FILE --classes NAMES"
    )
