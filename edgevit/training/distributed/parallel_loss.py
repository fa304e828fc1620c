"""The loss as one module, so that DistributedDataParallel sees all that is trained."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from edgevit.models.classifier import ZooModule
from edgevit.training.distributed.batch_norm import synchronised
from edgevit.training.distributed.processes import Processes
from edgevit.training.losses.guidance import Guidance
from edgevit.training.losses.objective import loss_of
from edgevit.training.recipe import Recipe


class ParallelLoss(nn.Module):
    """From pictures and targets to the loss of this process's part of a batch."""

    def __init__(self, module: ZooModule, guidance: Guidance | None, recipe: Recipe) -> None:
        super().__init__()
        self.module, self.guidance, self.recipe = module, guidance, recipe

    def forward(self, pictures: Tensor, targets: Tensor, maps: Mapping[str, Tensor]) -> Tensor:
        """Scalar float32.

        Args:
            pictures: uint8 [B, H, W, 3]. targets: float32 [B, classes].
            maps: a teacher's feature maps [B, C, H, W] by name; none: they are not matched.
        """
        guide: Callable[[Mapping[str, Tensor]], Tensor] | None = None
        if self.guidance is not None and maps:
            guide = partial(self.guidance, maps=maps)
        return loss_of(self.module, pictures, targets, self.recipe, guide)

    def over(self, processes: Processes, device: str) -> nn.Module:
        """The same over several processes: gradients are averaged, BatchNorm sees all pictures.

        BatchNorm's layers are replaced in place, so do this before anything else holds them.
        """
        if processes.count == 1:
            return self
        synchronised(self, device)
        # A kernel of one channel has strides in two equal forms, of which torch warns.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")  # since 2.13
        return DistributedDataParallel(
            self,
            device_ids=[torch.cuda.current_device()] if device == "cuda" else None,
            broadcast_buffers=False,  # they are equal: every process has seen the same statistics
            find_unused_parameters=self.guidance is not None,  # mixed batches go without it
        )
