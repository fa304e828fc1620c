"""TensorRT engines: one path for ``tensorrt`` (10.3 and later) and ``tensorrt_rtx``.

TensorRT proper builds for the GPU that is there. TensorRT-RTX builds for a named compute
capability on a machine without a GPU; it has none for Orin (8.7), nor for H100 and H200 (9.0).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from edgevit.errors import CheckFailedError, InputError, MissingExtraError

_FLAVOURS = ("tensorrt", "tensorrt_rtx")
# Compute capabilities that TensorRT-RTX builds for ahead of time, and what they are called there.
AHEAD_OF_TIME = {"8.0": "SM80", "8.6": "SM86", "8.9": "SM89", "12.0": "SM120"}
_MOST_ERRORS = 3


@dataclass(frozen=True)
class TensorRT:
    """One of the two flavours, imported."""

    name: str
    module: Any

    @property
    def version(self) -> str:
        return str(self.module.__version__)


def find_tensorrt(ahead_of_time: bool) -> TensorRT:
    """The flavour for the job.

    Args:
        ahead_of_time: for a named compute capability, which only TensorRT-RTX can.

    Raises:
        MissingExtraError: it is not installed.
    """
    wanted = _FLAVOURS[1:] if ahead_of_time else _FLAVOURS
    for name in wanted:
        if find_spec(name) is not None:
            return TensorRT(name, importlib.import_module(name))
    raise MissingExtraError("building TensorRT engines", wanted[-1], "tensorrt")


def build_engine(model: Path, capability: str | None = None, largest_batch: int = 8) -> bytes:
    """Parses an ONNX file and builds an engine.

    Args:
        capability: such as ``8.6``, to build ahead of time for; None: for the GPU that is here.
        largest_batch: of a model with a dynamic batch; it is tuned for 1.

    Raises:
        InputError: the capability is not one that can be built for.
        CheckFailedError: TensorRT cannot take the model; the nodes are named.
    """
    if capability is not None and capability not in AHEAD_OF_TIME:
        raise InputError(
            f"TensorRT-RTX does not build for compute capability {capability} ahead of time; it "
            f"does for {', '.join(AHEAD_OF_TIME)}. 7.5 refuses float32 products, which superpixels "
            "need; an Orin (8.7) builds its own engine with JetPack's TensorRT."
        )
    tensorrt = find_tensorrt(ahead_of_time=capability is not None)
    trt = tensorrt.module
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(trt))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(model)):
        errors = [parser.get_error(i) for i in range(min(parser.num_errors, _MOST_ERRORS))]
        raise CheckFailedError(_refusal(tensorrt, model, errors))
    config = builder.create_builder_config()
    if capability is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, AHEAD_OF_TIME[capability]), 0)
    _add_profile(builder, network, config, largest_batch)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise CheckFailedError(
            f"{tensorrt.name} {tensorrt.version} parsed {model} but could not build an engine for "
            f"{capability or 'this GPU'}. Its own messages stand above."
        )
    return bytes(engine)


def _network_flags(trt: Any) -> int:
    """Types are those of the graph: no precision is chosen behind our back."""
    flags = trt.NetworkDefinitionCreationFlag
    strongly_typed = getattr(flags, "STRONGLY_TYPED", None)  # the only kind in later versions
    return 0 if strongly_typed is None else 1 << int(strongly_typed)


def _add_profile(builder: Any, network: Any, config: Any, largest_batch: int) -> None:
    picture = network.get_input(0)
    shape = tuple(picture.shape)
    if shape[0] != -1:
        return
    profile = builder.create_optimization_profile()
    sizes = [(batch, *shape[1:]) for batch in (1, 1, largest_batch)]
    profile.set_shape(picture.name, *sizes)
    config.add_optimization_profile(profile)


def _refusal(tensorrt: TensorRT, model: Path, errors: Sequence[Any]) -> str:
    told = "; ".join(f"{e.node_name() or 'node ' + str(e.node())}: {e.desc()}" for e in errors)
    return f"{tensorrt.name} {tensorrt.version} cannot take {model}: {told}"
