"""edgevit: superpixel and less-attention vision transformers, from a checkpoint to the edge.

    import edgevit

    with edgevit.load("lla_tiny") as model:
        print(model("photo.jpg"))

Importing this package is free: no torch, no onnxruntime, no OpenCV, no numpy. What it offers is
imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgevit.common.telemetry import switch_off
from edgevit.common.version import __version__

if TYPE_CHECKING:
    from edgevit.common.errors import (
        BundleError,
        CheckFailedError,
        CheckpointError,
        DamagedError,
        DeviceError,
        EdgevitError,
        InputError,
        MissingExtraError,
    )
    from edgevit.results.prediction import Prediction
    from edgevit.results.stream_prediction import StreamPrediction
    from edgevit.workflows.predict.load_model import export, import_onnx, load
    from edgevit.workflows.predict.loaded_model import Model
    from edgevit.workflows.remote.deploy import deploy
    from edgevit.workflows.train import train

_ERRORS = "edgevit.common.errors"
_HOMES = {
    "BundleError": _ERRORS,
    "CheckFailedError": _ERRORS,
    "CheckpointError": _ERRORS,
    "DamagedError": _ERRORS,
    "DeviceError": _ERRORS,
    "EdgevitError": _ERRORS,
    "InputError": _ERRORS,
    "MissingExtraError": _ERRORS,
    "Model": "edgevit.workflows.predict.loaded_model",
    "Prediction": "edgevit.results.prediction",
    "StreamPrediction": "edgevit.results.stream_prediction",
    "deploy": "edgevit.workflows.remote.deploy",
    "export": "edgevit.workflows.predict.load_model",
    "import_onnx": "edgevit.workflows.predict.load_model",
    "load": "edgevit.workflows.predict.load_model",
    "train": "edgevit.workflows.train",
}
__all__ = [
    "BundleError",
    "CheckFailedError",
    "CheckpointError",
    "DamagedError",
    "DeviceError",
    "EdgevitError",
    "InputError",
    "MissingExtraError",
    "Model",
    "Prediction",
    "StreamPrediction",
    "__version__",
    "deploy",
    "export",
    "import_onnx",
    "load",
    "train",
]


switch_off()


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'edgevit' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
