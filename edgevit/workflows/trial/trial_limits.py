"""How much time and memory a model may take while it is tried.

A GPU needs more of both, though the model is as good: CUDA's libraries keep copies of their kernels
in private memory, and ONNX Runtime's TensorRT provider builds an engine when it opens a model,
which takes minutes on a small device.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgevit.bundle.bundle import Variant

_GPU_PROVIDERS = ("cuda", "tensorrt")


@dataclass(frozen=True)
class TrialLimits:
    """seconds: from opening a model to its answers to the bundle's own pictures.

    headroom_bytes: of private memory, beside what the libraries take and some copies of the file.
    """

    seconds: int
    headroom_bytes: int


ON_CPU = TrialLimits(30, 2 << 30)
ON_GPU = TrialLimits(300, 8 << 30)


def limits_for(variant: Variant) -> TrialLimits:
    """By what the variant is opened with, as the bundle says."""
    options = variant.build.options if variant.build else {}
    on_gpu = variant.runtime == "tensorrt" or options.get("provider") in _GPU_PROVIDERS
    return ON_GPU if on_gpu else ON_CPU
