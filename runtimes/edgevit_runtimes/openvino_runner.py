"""OpenVINO behind the Runner protocol."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.errors import BundleError, MissingExtraError
from edgevit.runner import Array, check_feeds
from edgevit.spec import TensorSpec

_DYNAMIC = "batch"


class OpenVinoRunner:
    """A compiled model on the CPU.

    The file must have its local functions inlined: OpenVINO knows none. Precision is said aloud,
    because OpenVINO's own default on many processors is bfloat16, which moves a tenth to a quarter
    of the pixels to other superpixels.

    Args:
        model: an ONNX file, or its bytes.
        threads: threads of an inference.
        precision: of what the file leaves in float: ``f32`` or ``bf16``.
        cache: where compiled models are kept, to start faster the next time; None: nowhere.

    Raises:
        MissingExtraError: OpenVINO is not installed.
        BundleError: OpenVINO cannot take the model.
    """

    def __init__(
        self,
        model: Path | bytes,
        threads: int = 1,
        precision: str = "f32",
        cache: Path | None = None,
    ) -> None:
        if find_spec("openvino") is None:
            raise MissingExtraError("this variant", "openvino", "openvino")
        import openvino

        core = openvino.Core()
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        if cache is not None:
            options["CACHE_DIR"] = str(cache)
        try:
            compiled = core.compile_model(_readable(core, model), "CPU", options)
        except RuntimeError as error:
            name = "the model" if isinstance(model, bytes) else str(model)
            raise BundleError(f"OpenVINO cannot load {name}: {_first_line(error)}") from error
        self.inputs = tuple(_spec(port) for port in compiled.inputs)
        self.outputs = tuple(_spec(port) for port in compiled.outputs)
        self._request: Any = compiled.create_infer_request()

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        check_feeds(feeds, self.inputs)
        results = self._request.infer(dict(feeds))
        return {spec.name: np.array(results[place]) for place, spec in enumerate(self.outputs)}

    def close(self) -> None:
        """Frees the compiled model."""
        self._request = None

    def __enter__(self) -> OpenVinoRunner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _readable(core: Any, model: Path | bytes) -> Any:
    return core.read_model(model) if isinstance(model, bytes) else str(model)


def _spec(port: Any) -> TensorSpec:
    shape = tuple(
        _DYNAMIC if dimension.is_dynamic else dimension.get_length()
        for dimension in port.partial_shape
    )
    return TensorSpec(port.any_name, np.dtype(port.element_type.to_dtype()).name, shape)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
