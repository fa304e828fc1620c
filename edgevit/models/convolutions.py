"""A convolutional trunk from its spec: convolutions with BatchNorm, and inverted residuals."""

from __future__ import annotations

from torch import Tensor, nn

from edgevit.models.layers import NormalisedPlanes
from edgevit.zoo.spec import ModelSpec
from edgevit.zoo.trunk_spec import Activation, Block, Convolution, InvertedResidual, TrunkSpec

ACTIVATIONS: dict[Activation, type[nn.ReLU] | type[nn.Hardswish]] = {
    "relu": nn.ReLU,
    "hardswish": nn.Hardswish,
}


class ConvolutionNorm(nn.Sequential):
    """A convolution that keeps the size (before its stride), and its BatchNorm."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        convolution = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
        super().__init__(convolution, nn.BatchNorm2d(outputs))


class SqueezeExcitation(nn.Module):
    """Scales every channel by what the means of all channels say (arXiv 1709.01507).

    With a ReLU and a hard sigmoid, as in MobileNetV3.
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, squeezed)
        self.excite = nn.Linear(squeezed, channels)

    def forward(self, seen: Tensor) -> Tensor:
        """[B, C, H, W] to the same shape."""
        scale = self.excite(self.squeeze(seen.mean((2, 3))).relu())
        return seen * nn.functional.hardsigmoid(scale)[:, :, None, None]


class InvertedResidualBlock(nn.Module):
    """Expand, filter, weigh the channels, project; the input is added where it fits."""

    def __init__(self, inputs: int, spec: InvertedResidual) -> None:
        super().__init__()
        activation = ACTIVATIONS[spec.activation]
        hidden, kernel, stride = spec.hidden, spec.kernel, spec.stride
        layers: list[nn.Module] = []
        if spec.fused:
            layers += [ConvolutionNorm(inputs, hidden, kernel, stride), activation()]
        else:
            if hidden != inputs:
                layers += [ConvolutionNorm(inputs, hidden, 1), activation()]
            layers += [ConvolutionNorm(hidden, hidden, kernel, stride, hidden), activation()]
        if spec.squeeze:
            layers.append(SqueezeExcitation(hidden, spec.squeeze))
        layers.append(ConvolutionNorm(hidden, spec.width, 1))
        self.layers = nn.Sequential(*layers)
        self.adds_input = stride == 1 and inputs == spec.width

    def forward(self, seen: Tensor) -> Tensor:
        """[B, C, H, W] to [B, width, H / stride, W / stride]."""
        projected: Tensor = self.layers(seen)
        return seen + projected if self.adds_input else projected


class Trunk(nn.Module):
    """Normalised pixels through every block.

    Memory stays in the picture's own order (channels last): on CPUs and GPUs alike the faster one
    for training, and rows of the map are then free.
    """

    def __init__(self, spec: ModelSpec, trunk: TrunkSpec) -> None:
        super().__init__()
        self.spec = trunk
        inputs, blocks = 3, []
        for block in trunk.blocks:
            blocks.append(_built(inputs, block))
            inputs = block.width
        self.blocks = nn.Sequential(*blocks)
        self.normalise = NormalisedPlanes(spec)

    def forward(self, pixels: Tensor) -> Tensor:
        """float32 [B, H, W, 3], 0..255, to the map [B, width, H / stride, W / stride]."""
        seen: Tensor = self.blocks(self.normalise(pixels))
        return seen


def _built(inputs: int, block: Block) -> nn.Module:
    if isinstance(block, Convolution):
        convolution = ConvolutionNorm(inputs, block.width, block.kernel, block.stride)
        return nn.Sequential(*convolution, ACTIVATIONS[block.activation]())
    return InvertedResidualBlock(inputs, block)
