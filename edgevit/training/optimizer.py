"""The optimiser of every training, on one picture loader or another."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from edgevit.models.classifier import ZooModule
from edgevit.training.recipe import Recipe


def adamw(
    module: ZooModule, recipe: Recipe, others: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """AdamW; vectors (biases, norms, CLS) and tables (latents, positions) do not decay.

    Args:
        others: parameters that are trained with the module's and do not decay.
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
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
