"""From a torch module to an ONNX model with every tap as an output."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from edgevit.models.classifier import ZooModule
from edgevit.zoo.interface.tensors import IMAGE_INPUT
from edgevit.zoo.spec import LlaSpec
from edgevit_export.convert.graph import IR_VERSION, OPSET
from edgevit_export.convert.superpixel_op import DOMAIN, DOMAIN_VERSION, superpixel_functions


class _Taps(nn.Module):
    """The taps as a tuple, which is what the exporter wants."""

    def __init__(self, module: ZooModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.module.taps(image).values())


def trace(module: ZooModule, batch: int | None) -> onnx.ModelProto:
    """Traces ``module.taps``: input ``image`` uint8 [B, H, W, 3], one output per tap, by name.

    Args:
        batch: the batch size, or None for a dynamic one called ``batch``.
    """
    spec = module.spec
    shape = (batch or 2, spec.image_px, spec.image_px, 3)
    example = torch.zeros(shape, dtype=torch.uint8)
    with torch.no_grad():
        names = list(module.taps(example))
    model = to_onnx(_Taps(module), example, names, dynamic_batch=batch is None)
    if isinstance(spec, LlaSpec) and spec.has_superpixels:
        _add_superpixel_bodies(model, spec)
    onnx.checker.check_model(model, full_check=True)
    return model


def to_onnx(
    module: nn.Module, example: Tensor, names: list[str], dynamic_batch: bool
) -> onnx.ModelProto:
    """Traces a module of one input, ``image``, at our opset and IR version."""
    with _quiet_exporter():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            input_names=[IMAGE_INPUT],
            output_names=names,
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes={IMAGE_INPUT: {0: torch.export.Dim("batch")}} if dynamic_batch else None,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model: onnx.ModelProto = program.model_proto
    model.ir_version = IR_VERSION
    return model


def _add_superpixel_bodies(model: onnx.ModelProto, spec: LlaSpec) -> None:
    model.functions.extend(superpixel_functions(spec))
    if DOMAIN not in {entry.domain for entry in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(DOMAIN, DOMAIN_VERSION))


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """The exporter warns of a missing torchvision and of its own internals; none concerns us."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
