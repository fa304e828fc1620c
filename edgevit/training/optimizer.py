"""The optimiser of every training, on one picture loader or another."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from edgevit.training.recipe import Recipe


def adamw(
    module: nn.Module,
    recipe: Recipe,
    others: Iterable[nn.Parameter] = (),
    rate: Tensor | None = None,
) -> torch.optim.Optimizer:
    """AdamW; vectors (biases, norms, CLS) and tables (latents, positions) do not decay.

    Args:
        others: parameters that are trained with the module's and do not decay.
        rate: the learning rate as a number on the device, for steps that a GPU replays without
            the host; None: the recipe's highest.
    """
    kinds = (nn.Linear, nn.Conv2d)
    decaying = {id(layer.weight) for layer in module.modules() if isinstance(layer, kinds)}
    parameters = [*module.parameters(), *others]
    groups = [
        {
            "params": [p for p in parameters if id(p) in decaying],
            "weight_decay": recipe.weight_decay,
        },
        {"params": [p for p in parameters if id(p) not in decaying], "weight_decay": 0.0},
    ]
    replayed = rate is not None and rate.is_cuda
    lr = recipe.learning_rate if rate is None else rate
    return torch.optim.AdamW(groups, lr=lr, fused=True, capturable=replayed)
