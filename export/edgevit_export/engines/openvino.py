"""What OpenVINO reads: the graph without local functions, and how precise it is to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgevit.bundle.compiled import Built
from edgevit.common.errors import BundleError, CheckFailedError, InputError
from edgevit.inference.runner import Runner
from edgevit_export.engines.inline import inlined, refused_layers

# Which superpixel every cell belongs to: a discrete choice, and half precision changes it.
ASSIGNMENT = "assignment"
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


def openvino_options(precision: str, has_superpixels: bool) -> dict[str, Any]:
    """How a variant is opened. Superpixels stay float32 whatever the rest is computed in.

    Raises:
        InputError: OpenVINO does not compute in this precision on a processor.
    """
    if precision not in _HINTS:
        raise InputError(
            f"OpenVINO computes on a processor in {', '.join(_HINTS)}; got --precision {precision}."
        )
    options: dict[str, Any] = {"precision": _HINTS[precision]}
    if precision == "bf16" and has_superpixels:
        options["keep_float32"] = ASSIGNMENT
    return options


def compile_openvino(model: bytes, open_model: Callable[[bytes], Runner]) -> Built:
    """Inlines the functions, and opens the result once, to know that OpenVINO takes it.

    Raises:
        CheckFailedError: it does not; the op and its layers are named.
    """
    plain = inlined(model)
    try:
        open_model(plain).close()
    except BundleError as error:
        raise CheckFailedError(f"{error}{refused_layers(str(error), plain)}") from error
    return Built(plain)
