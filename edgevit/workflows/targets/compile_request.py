"""What is to be compiled."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edgevit.common.errors import InputError


class Target(str, Enum):
    """A runtime, or the best of them."""

    tensorrt = "tensorrt"
    onnxruntime = "onnxruntime"
    openvino = "openvino"
    native = "native"
    auto = "auto"


class Precision(str, Enum):
    """What a model computes in; ``bf16`` is for OpenVINO, ``fp16`` for GPUs."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
    int8 = "int8"


class Provider(str, Enum):
    """What runs ONNX Runtime's nodes."""

    cpu = "cpu"
    cuda = "cuda"
    tensorrt = "tensorrt"


@dataclass(frozen=True)
class CompileRequest:
    """One variant that is to be compiled.

    capability: of TensorRT, to build ahead of time for a GPU that need not be here, such as 8.6.
    batch: of TensorRT with a dynamic batch, ``LOW:TUNED:HIGH``.
    """

    target: Target
    precision: Precision = Precision.fp32
    capability: str | None = None
    provider: Provider = Provider.cpu
    allow_fallback: bool = False
    batch: str | None = None
    cuda_graph: bool = True

    @property
    def name(self) -> str:
        """Of the variant: ``tensorrt-fp16-sm86``, ``onnxruntime-cuda-fp16``, ``openvino-int8``."""
        middle = "" if self.provider is Provider.cpu else f"-{self.provider.value}"
        end = f"-sm{self.capability.replace('.', '')}" if self.capability else ""
        return f"{self.target.value}{middle}-{self.precision.value}{end}"

    def check(self) -> None:
        """Refuses options that the target has no use for.

        Raises:
            InputError: names the option and the target that it is for.
        """
        if self.target is not Target.tensorrt and (self.capability or self.batch):
            option = "--capability" if self.capability else "--batch"
            raise InputError(
                f"{option} is for --target tensorrt; got --target {self.target.value}."
            )
        if self.precision is Precision.bf16 and self.target not in (Target.openvino, Target.auto):
            raise InputError("--precision bf16 is for --target openvino; others have fp16.")
        placed = self.provider is not Provider.cpu or self.allow_fallback
        if placed and self.target is not Target.onnxruntime:
            raise InputError(
                "--provider and --allow-fallback are for --target onnxruntime; got --target "
                f"{self.target.value}."
            )
