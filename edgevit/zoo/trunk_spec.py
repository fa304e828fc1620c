"""What a convolutional trunk is: its blocks in order, each with the channels that it gives.

Every convolution is followed by BatchNorm (folded into it at export) and, but for the last one of
an inverted residual, by its activation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from edgevit.common.errors import InputError

Activation = Literal["relu", "hardswish"]


@dataclass(frozen=True)
class Convolution:
    """One convolution. width: channels out. kernel: pixels a side."""

    width: int
    kernel: int = 3
    stride: int = 1
    activation: Activation = "relu"


@dataclass(frozen=True)
class InvertedResidual:
    """Expand by 1x1, filter every channel alone, project by 1x1 (MobileNetV2, arXiv 1801.04381).

    The input is added to the output where both have the same shape.

    width, hidden: channels out, and in between; as many hidden as come in: no expansion.
    fused: expansion and filter are one full convolution (EfficientNetV2, arXiv 2104.00298).
    squeeze: hidden channels of squeeze-and-excitation (arXiv 1709.01507) after the filter; 0: none.
    """

    width: int
    hidden: int
    kernel: int = 3
    stride: int = 1
    activation: Activation = "relu"
    fused: bool = False
    squeeze: int = 0


Block = Convolution | InvertedResidual


@dataclass(frozen=True)
class TrunkSpec:
    """From a picture to a feature map ``stride`` times smaller, of ``width`` channels."""

    blocks: tuple[Block, ...]

    @property
    def stride(self) -> int:
        """Pixels of the picture a side for one place of the map."""
        return math.prod(block.stride for block in self.blocks)

    @property
    def width(self) -> int:
        """Channels of the map."""
        return self.blocks[-1].width

    def check(self, where: str) -> None:
        """Refuses blocks that cannot be built.

        Raises:
            InputError: says where, and what does not fit.
        """
        if not self.blocks:
            raise InputError(f"{where}: got a trunk without blocks; at least one.")
        odd = [block for block in self.blocks if block.kernel % 2 == 0 or block.stride < 1]
        if odd:
            raise InputError(f"{where}: kernels are odd and strides at least 1; got {odd[0]}.")
