"""BatchNorm whose mean and variance are those of the whole batch, not of one process's part of it.

Without this a run in N processes would not be the run of one process with N times the batch. On
GPUs torch's own SyncBatchNorm does it; that one refuses tensors of a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional


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
        statistics = _statistics_of_all(pictures.detach(), self.eps)
        self._follow(statistics)
        result: Tensor = _Normalise.apply(  # type: ignore[no-untyped-call]
            pictures, self.weight, self.bias, statistics
        )
        return result.to(input.dtype)

    @torch.no_grad()
    def _follow(self, found: _Statistics) -> None:
        """Moves the running statistics, as BatchNorm does: with the unbiased variance."""
        if self.running_mean is None or self.running_var is None:
            return
        momentum = 0.1 if self.momentum is None else self.momentum
        unbiased = found.variance * (found.values / max(1, found.values - 1))
        self.running_mean.lerp_(found.mean, momentum)
        self.running_var.lerp_(unbiased, momentum)
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


@dataclass(frozen=True)
class _Statistics:
    """Of a whole batch, by channel: float32 [C] each. values: of a channel, in all processes."""

    mean: Tensor
    variance: Tensor
    values: int
    eps: float

    def scale(self) -> Tensor:
        """What centred values are multiplied by, float32 [C]."""
        return torch.rsqrt(self.variance + self.eps)


def _statistics_of_all(pictures: Tensor, eps: float) -> _Statistics:
    """Mean and biased variance over the pictures of all processes, in one exchange."""
    mine = torch.stack(torch.batch_norm_update_stats(pictures, None, None, 0.0))
    gathered = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(gathered, mine)
    means, variances = torch.stack(gathered).unbind(1)
    mean = means.mean(0)
    variance = variances.mean(0) + (means - mean).square().mean(0)
    values = len(gathered) * (pictures.numel() // pictures.shape[1])
    return _Statistics(mean, variance, values, eps)


class _Normalise(torch.autograd.Function):
    """BatchNorm with given statistics, whose gradient knows that these come from all pictures.

    torch's own kernels do each direction in one pass over the pictures; written as single tensor
    operations, the layer cost more than the convolutions beside it. In the backward pass the
    products that the statistics bring in are sums over all processes:
    dx = w s (dy - sum(dy) / n - x' sum(dy x') / n), with x' = (x - mean) s and n values.
    """

    @staticmethod
    def forward(
        ctx: Any, pictures: Tensor, weight: Tensor | None, bias: Tensor | None, found: _Statistics
    ) -> Tensor:
        ctx.save_for_backward(pictures, weight)
        ctx.found = found
        statistics = found.mean, found.variance
        return functional.batch_norm(pictures, *statistics, weight, bias, eps=found.eps)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        pictures, weight = ctx.saved_tensors
        found: _Statistics = ctx.found
        direct, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, pictures, weight, found.mean, found.variance,
            None, None, False, found.eps, [True, True, True],
        )  # fmt: skip
        sums = torch.stack((of_bias, of_weight))
        dist.all_reduce(sums)
        scale = found.scale()
        learned = scale if weight is None else scale * weight
        constant, slope = sums * learned / found.values
        slope = slope * scale
        offset = constant - slope * found.mean
        through = torch.addcmul(offset[:, None, None], pictures, slope[:, None, None])
        parameters = (None, None) if weight is None else (of_weight, of_bias)
        return direct - through, *parameters, None
