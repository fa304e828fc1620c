"""The convolutional trunks of the zoo."""

from __future__ import annotations

from edgevit.zoo.trunk_spec import Activation, Convolution, InvertedResidual, TrunkSpec

_HARD: Activation = "hardswish"

# Stride 16. A full convolution costs little while there are few channels.
LLA_TINY = TrunkSpec(
    (
        Convolution(16, stride=2),
        Convolution(32, stride=2),
        InvertedResidual(64, 80, stride=2, fused=True),
        InvertedResidual(64, 192),
        InvertedResidual(128, 256, stride=2),
        InvertedResidual(128, 384),
        InvertedResidual(128, 384),
        Convolution(192, kernel=1),
    )
)

# Stride 8, for masks: the first four blocks are those of LLA_TINY, and start from its weights.
LLA_TINY_DENSE = TrunkSpec(
    (
        *LLA_TINY.blocks[:4],
        InvertedResidual(96, 256, kernel=5),
        InvertedResidual(96, 288, kernel=5),
        Convolution(128, kernel=1),
    )
)

LLA_SMALL = TrunkSpec(
    (
        Convolution(24, stride=2),
        Convolution(48, stride=2),
        InvertedResidual(96, 128, stride=2, fused=True),
        InvertedResidual(96, 288),
        InvertedResidual(96, 288),
        InvertedResidual(192, 384, stride=2),
        InvertedResidual(192, 576),
        InvertedResidual(192, 576),
        InvertedResidual(192, 576),
        Convolution(256, kernel=1),
    )
)

# Stride 8: at 64 pixels a side, 16 would leave four places a side.
LLA_MICRO = TrunkSpec(
    (
        Convolution(24, stride=2),
        InvertedResidual(48, 64, stride=2, fused=True),
        InvertedResidual(96, 192, stride=2),
        InvertedResidual(96, 240),
        InvertedResidual(96, 240),
        Convolution(128, kernel=1),
    )
)


# "Searching for MobileNetV3", arXiv 1905.02244, table 2. The squeezed channels are a quarter of
# the hidden ones, rounded to a multiple of eight.
MOBILENET_V3_SMALL = TrunkSpec(
    (
        Convolution(16, stride=2, activation=_HARD),
        InvertedResidual(16, 16, stride=2, squeeze=8),
        InvertedResidual(24, 72, stride=2),
        InvertedResidual(24, 88),
        InvertedResidual(40, 96, kernel=5, stride=2, activation=_HARD, squeeze=24),
        InvertedResidual(40, 240, kernel=5, activation=_HARD, squeeze=64),
        InvertedResidual(40, 240, kernel=5, activation=_HARD, squeeze=64),
        InvertedResidual(48, 120, kernel=5, activation=_HARD, squeeze=32),
        InvertedResidual(48, 144, kernel=5, activation=_HARD, squeeze=40),
        InvertedResidual(96, 288, kernel=5, stride=2, activation=_HARD, squeeze=72),
        InvertedResidual(96, 576, kernel=5, activation=_HARD, squeeze=144),
        InvertedResidual(96, 576, kernel=5, activation=_HARD, squeeze=144),
        Convolution(576, kernel=1, activation=_HARD),
    )
)
