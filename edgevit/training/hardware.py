"""Which device trains, in which precision, and with how many threads."""

from __future__ import annotations

import os

import cv2
import torch
from torch import nn

from edgevit.common.errors import InputError
from edgevit.training.distributed.processes import local_processes


def prepare(device: str, threads: int | None) -> tuple[str, int]:
    """Sets thread counts; returns the device ("cpu" or "cuda") and the loader's threads.

    Raises:
        InputError: an unknown device, or CUDA where there is none.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device is auto, cpu or cuda; got '{device}'.")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda was asked for, but torch sees no CUDA GPU. Use cpu.")
    chosen = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    count = threads or max(1, len(os.sched_getaffinity(0)) // local_processes())
    torch.set_num_threads(count)
    cv2.setNumThreads(1)  # the loader has threads of its own
    return chosen, count


def has_fast_bfloat16(device: str) -> bool:
    """Whether the device multiplies in bfloat16; elsewhere torch emulates it, several times slower.

    Args:
        device: "cpu" or "cuda".
    """
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def channels_last(module: nn.Module) -> None:
    """Lays out the weights of convolutions as kernels for channels-last pictures want them.

    Those are a GPU's kernels, and a processor's for bfloat16.
    """
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
