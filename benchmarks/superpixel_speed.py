"""What superpixels cost, one core, interleaved: against scikit-image's SLIC, and of the model.

    python benchmarks/superpixel_speed.py [--model lla_tiny --model lla_tiny_k49]

Times, in ONNX Runtime, of ever longer beginnings of the exported model, from the uint8 picture:
up to the cut patches (which any vision transformer needs), up to the pooled superpixels, and all
of it. The cost of superpixels is the second less the first; as a multiple of scikit-image, the
whole second is taken.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import onnx
import onnx_ir as ir

from edgevit.bundle.bundle import Bundle
from edgevit.common.console import print_json, print_table
from edgevit.images import image_io
from edgevit.inference.runner import Array
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.interface.tensors import IMAGE_INPUT
from edgevit.zoo.registry import find
from edgevit.zoo.spec import LlaSpec
from edgevit_export.convert.simplify import simplify
from edgevit_export.convert.trace import trace
from edgevit_export.convert.weights import load_model
from edgevit_export.passes.keep_outputs import keep_outputs
from edgevit_export.quantize.observe import with_outputs
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from edgevit_runtimes.bench.interleave import interleave, pin_to_one_core
from edgevit_runtimes.devices import x86

BLOCK, ROUNDS = 50, 12
SLIC_ROUNDS = 40
SLIC_OP, POOL_OP = "SuperpixelSlic", "SuperpixelPool"


def main() -> None:
    arguments = _arguments()
    core = pin_to_one_core()
    picture = Bundle.open(PREBUILT_BUNDLE).reference().images[0]
    names = arguments.model or ("lla_tiny_k16", "lla_tiny")
    rows = [_measure(name, picture) for name in names]
    if arguments.json:
        print_json(rows)
        return
    table = [
        (
            row["model"],
            f"{row['patches_us']:.0f}",
            f"{row['superpixels_us']:.0f}",
            f"{row['model_us']:.0f}",
            f"{100 * row['share']:.1f} %",
            f"{row['skimage_us']:.0f}",
            f"{row['times_faster_than_skimage']:.0f}",
        )
        for row in rows
    ]
    columns = (
        "model",
        "cut patches us",
        "superpixels us",
        "model us",
        "share",
        "scikit-image us",
        "times faster",
    )
    title = f"core {core} of {x86.describe().processor}, medians of blocks of {BLOCK}"
    print_table(title, columns, table, numeric=columns[1:])


def _measure(name: str, picture: Array) -> dict[str, Any]:
    spec = find(name).spec
    assert isinstance(spec, LlaSpec)
    frame = image_io.resize(picture, Preprocess(spec.image_px))
    whole = simplify(trace(load_model(find(name)).module, batch=1))
    parts = [_until_patches(whole), _until_pooled(whole), _until_logits(whole)]
    functions = [_inference(part, frame) for part in parts]
    times = interleave(functions, BLOCK, ROUNDS)
    slic = interleave([_skimage(frame, spec)], 1, SLIC_ROUNDS, discard=0)
    patches, pooled, model = (1e3 * times.median_ms(i) for i in range(3))
    skimage_us = 1e3 * slic.median_ms(0)
    return {
        "model": name,
        "patches_us": patches,
        "superpixels_us": pooled - patches,
        "model_us": model,
        "share": (pooled - patches) / model,
        "skimage_us": skimage_us,
        "times_faster_than_skimage": skimage_us / pooled,
        "samples": times.samples,
    }


def _skimage(frame: Array, spec: LlaSpec) -> Callable[[], object]:
    from skimage.segmentation import slic

    return lambda: slic(frame, spec.superpixels.count, compactness=10, start_label=0)


def _inference(model: onnx.ModelProto, frame: Array) -> Callable[[], object]:
    runner = OnnxRuntimeRunner(model.SerializeToString(), threads=1)
    feed = {IMAGE_INPUT: frame[None].copy()}
    return lambda: runner.infer(feed)


def _until_logits(whole: onnx.ModelProto) -> onnx.ModelProto:
    return _until(whole, ["logits"])


def _until_patches(whole: onnx.ModelProto) -> onnx.ModelProto:
    (node,) = (n for n in whole.graph.node if n.op_type == SLIC_OP)
    return _until(whole, [node.input[0]])


def _until_pooled(whole: onnx.ModelProto) -> onnx.ModelProto:
    (node,) = (n for n in whole.graph.node if n.op_type == POOL_OP)
    return _until(whole, list(node.output[:3]))


def _until(whole: onnx.ModelProto, values: list[str]) -> onnx.ModelProto:
    """The part of the model that makes some of its inner values."""
    part = with_outputs(ir.from_proto(whole), values)
    keep_outputs(part, values)
    return ir.to_proto(part)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", action="append", help="may be given several times")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
