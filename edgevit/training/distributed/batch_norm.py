"""BatchNorm whose mean and variance are those of the whole batch, not of one process's part of it.

Without this a run in N processes would not be the run of one process with N times the batch. On
GPUs torch's own SyncBatchNorm does it; that one refuses tensors of a CPU.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx


class HostSyncBatchNorm2d(nn.BatchNorm2d):
    """``nn.BatchNorm2d`` over all processes, on a CPU through gloo.

    Every process must have the same number of pictures. The gradient flows through the statistics,
    so that the mean of all processes' gradients is that of the whole batch.
    """

    def forward(self, input: Tensor) -> Tensor:
        """float [B, C, H, W] to the same; B is this process's part of the batch."""
        if not self.training:
            return super().forward(input)
        pictures = input.float()
        mean = _mean_of_all(pictures.mean((0, 2, 3)))
        centred = pictures - mean[:, None, None]
        variance = _mean_of_all(centred.square().mean((0, 2, 3)))
        self._follow(mean.detach(), variance.detach(), pictures.numel() // pictures.shape[1])
        result = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        if self.affine:
            result = result * self.weight[:, None, None] + self.bias[:, None, None]
        return result.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, values: int) -> None:
        """Moves the running statistics, as BatchNorm does: with the unbiased variance."""
        if self.running_mean is None or self.running_var is None:
            return
        momentum = 0.1 if self.momentum is None else self.momentum
        values *= dist.get_world_size()
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * (values / max(1, values - 1)), momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


def synchronised(module: nn.Module, device: str) -> None:
    """Replaces every BatchNorm2d below a module in place; names and values in its state stay.

    Args:
        module: not a BatchNorm itself. device: "cpu" or "cuda".
    """
    if device == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        return
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, _on_host(child))


def _on_host(layer: nn.BatchNorm2d) -> HostSyncBatchNorm2d:
    made = HostSyncBatchNorm2d(
        layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
    )
    made.load_state_dict(layer.state_dict())
    return made.train(layer.training)


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient, since every process uses the sum."""

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor) -> Tensor:
        del ctx
        summed = values.clone()
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        del ctx
        summed = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(summed)
        return summed


def _mean_of_all(values: Tensor) -> Tensor:
    summed: Tensor = _Sum.apply(values)  # type: ignore[no-untyped-call]
    return summed / dist.get_world_size()
