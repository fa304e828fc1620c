"""A moving average of the weights: what is validated and saved."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

_Tensors = tuple[Tensor, ...] | list[Tensor]


def averaged(module: nn.Module, decay: float) -> AveragedModel:
    """A copy that follows ``module`` by ``update_parameters``, slowly once it has seen some steps.

    After n steps the decay is at most (1 + n) / (10 + n), so that the random start is soon
    forgotten. With decay 0 it is the module itself, a step behind nothing. BatchNorm's means and
    variances are averaged too, so that they are those of the averaged weights; counters are copied.
    """
    return AveragedModel(module, multi_avg_fn=_follow(decay), use_buffers=True)


def following(average: AveragedModel, module: nn.Module, decay: float) -> Callable[[], None]:
    """What :meth:`~AveragedModel.update_parameters` does, without waiting for a GPU.

    But for the first step, which is averaged like the others. torch's method reads the number of
    steps on the host. The tensors of both modules must stay theirs.
    """
    follow = _follow(decay)
    kinds: dict[torch.dtype, tuple[list[Tensor], list[Tensor]]] = {}
    for mean, current in zip(_tensors(average.module), _tensors(module), strict=True):
        means, currents = kinds.setdefault(mean.dtype, ([], []))
        means.append(mean.detach())
        currents.append(current.detach())

    def update() -> None:
        for means, currents in kinds.values():
            follow(means, currents, average.n_averaged)
        average.n_averaged += 1

    return update


def _tensors(module: nn.Module) -> chain[Tensor]:
    return chain(module.parameters(), module.buffers())


def _follow(decay: float) -> Callable[[_Tensors, _Tensors, Tensor | int], None]:
    @torch.no_grad()
    def follow(average: _Tensors, current: _Tensors, steps: Tensor | int) -> None:
        if decay == 0 or not average[0].is_floating_point():
            torch._foreach_copy_(list(average), list(current))
            return
        # A tensor, not a number: reading it would make a GPU wait in every step.
        weight = (9 / (10 + torch.as_tensor(steps))).clamp_min(1 - decay)
        change = torch._foreach_sub(list(current), list(average))
        torch._foreach_mul_(change, weight.to(average[0]))
        torch._foreach_add_(list(average), change)

    return follow
