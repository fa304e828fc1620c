"""ONNX Runtime behind the Runner protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnxruntime as ort

from edgevit.errors import BundleError, InputError
from edgevit.runner import Array, check_feeds
from edgevit.spec import TensorSpec
from edgevit_runtimes import kernel

_DTYPES = {
    "tensor(uint8)": "uint8",
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}


class OnnxRuntimeRunner:
    """A session on the CPU.

    Args:
        model: an ONNX file, or its bytes.
        threads: threads inside an operator.
        native: use the native superpixel kernels where they are built (:mod:`..kernel`); without
            them, or with False, the function bodies in the model run.

    Raises:
        BundleError: ONNX Runtime cannot load the model.
    """

    def __init__(self, model: Path | bytes, threads: int = 1, native: bool = True) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        kernels = kernel.library() if native else None
        self.uses_native_kernels = kernels is not None
        if kernels is not None:
            _register(options, kernels)
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._session = ort.InferenceSession(
                source, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors share no public base class
            name = "the exported model" if isinstance(model, bytes) else str(model)
            raise BundleError(f"ONNX Runtime cannot load {name}: {error}") from error
        self.inputs = tuple(_spec(arg) for arg in self._session.get_inputs())
        self.outputs = tuple(_spec(arg) for arg in self._session.get_outputs())
        self._names = [spec.name for spec in self.outputs]

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        check_feeds(feeds, self.inputs)
        results = self._session.run(self._names, dict(feeds))
        return dict(zip(self._names, results, strict=True))

    def close(self) -> None:
        """Frees the session's memory."""
        self._session = None

    def __enter__(self) -> OnnxRuntimeRunner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _register(options: ort.SessionOptions, kernels: Path) -> None:
    try:
        options.register_custom_ops_library(str(kernels))
    except Exception as error:  # see above
        raise InputError(
            f"The native kernels {kernels} cannot be loaded ({error}). Build them again with "
            "'edgevit kernel', or delete them with 'edgevit kernel --remove'."
        ) from error


def _spec(arg: ort.NodeArg) -> TensorSpec:
    shape = tuple(d if isinstance(d, int) else str(d) for d in arg.shape)
    return TensorSpec(arg.name, _DTYPES.get(arg.type, arg.type), shape)
