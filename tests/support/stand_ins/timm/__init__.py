"""A stand-in for timm, which does not import beside every build of torch: one small network.

Only the functions that edgevit calls, with the signatures of timm 1.0. ``EDGEVIT_STAND_IN_TIMM``
makes it as a timm whose torchvision does not fit, or changes what it says of the network.
"""

import json
import os
from types import SimpleNamespace

import torch
from torch import nn

CONFIG = json.loads(os.environ.get("EDGEVIT_STAND_IN_TIMM", "{}"))
if CONFIG.get("broken"):
    raise RuntimeError("operator torchvision::nms does not exist")

NAME = "stand_in_net"
__version__ = "1.0.0+stand-in"


class StandInNet(nn.Module):
    """A patch embedding, a mean and a head."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.num_classes = num_classes
        self.stem = nn.Conv2d(3, 8, 8, 8)
        self.head = nn.Linear(8, num_classes)
        self.pretrained_cfg = SimpleNamespace(**CONFIG).__dict__

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stem(x).relu().mean((2, 3)))


def is_model(name: str) -> bool:
    return name.partition(".")[0] == NAME


def list_models(filter: str = "") -> list[str]:
    return [NAME]


def create_model(name: str, pretrained: bool = False, num_classes: int = 4) -> nn.Module:
    if pretrained and CONFIG.get("without_weights"):
        raise RuntimeError(f"No pretrained weights exist for {name}. Use `pretrained=False`.")
    return StandInNet(num_classes)
