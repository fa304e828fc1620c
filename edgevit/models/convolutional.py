"""A convolutional network: a trunk, the mean of its map, a hidden layer, a head.

``mobilenet_v3_small`` is one (arXiv 1905.02244); so is the trunk of an ``lla_*`` with a plain mean
in place of superpixels and latents.
"""

from __future__ import annotations

from torch import Tensor, nn

from edgevit.models.classifier import Classifier
from edgevit.models.convolutions import ACTIVATIONS, Trunk
from edgevit.models.layers import init_linear, layer_norm, pixel_values
from edgevit.zoo.interface.tensors import LOGITS, SUMMARY
from edgevit.zoo.spec import ConvolutionalSpec


class ConvolutionalClassifier(Classifier):
    """The answer is read off the mean of the map; normalised, or through a hidden layer."""

    def __init__(self, spec: ConvolutionalSpec) -> None:
        super().__init__()
        self.spec: ConvolutionalSpec = spec
        self.trunk = Trunk(spec, spec.trunk)
        width = spec.trunk.width
        self.summary: nn.Module = layer_norm(width)
        if spec.hidden:
            activation = ACTIVATIONS[spec.trunk.blocks[-1].activation]()
            hidden = nn.Linear(width, spec.hidden)
            self.summary = nn.Sequential(hidden, activation)
        self.head = nn.Linear(spec.summary_width, spec.classes)
        self.apply(init_linear)
        if spec.hidden:
            nn.init.normal_(hidden.weight, std=width**-0.5)

    def steps(self, image: Tensor) -> dict[str, Tensor]:
        """The logits, the summary, and the trunk's map [B, C, H, W] as ``map``."""
        seen = self.trunk(pixel_values(image))
        summary = self.summary(seen.mean((2, 3)))
        return {LOGITS: self.head(summary), SUMMARY: summary, "map": seen}
