"""Whether an exported model says the same about places as the torch module: masks and boxes.

A mask must give the same class to 99.9 % of the pixels. Of boxes, 99.5 % of the objects must be
found by both, with sides that differ by at most a pixel of the model's input and scores by at most
0.001.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgevit.bundle.reports import DenseParityReport
from edgevit.common.errors import CheckFailedError
from edgevit.inference.dense.detection_agreement import agreement_of
from edgevit.inference.dense.detections import Detections
from edgevit.inference.runner import Array
from edgevit.zoo.tasks import BOXES, MASK, OBJECT_CLASSES, SCORES, Task

_BOX_PX, _SCORE = 1.0, 1e-3
_LEAST = {"segmentation": 0.999, "detection": 0.995}
_OF = {"segmentation": "pixels", "detection": "objects"}

Outputs = Mapping[str, Array]


def require_dense_parity(task: Task, expected: Outputs, got: Outputs) -> DenseParityReport:
    """Compares the outputs of a task, [n, ...] each, by name.

    Raises:
        CheckFailedError: they agree on too little.
    """
    agreement = _AGREEMENTS[task](expected, got)
    if not agreement >= _LEAST[task]:
        raise CheckFailedError(
            f"Parity failed: torch and ONNX Runtime agree on {100 * agreement:.3f} % of the "
            f"{_OF[task]}; at least {100 * _LEAST[task]:g} % are needed. Nothing was written. "
            "Please report it with the model and the versions of torch, onnx and onnxruntime."
        )
    return DenseParityReport(len(next(iter(expected.values()))), round(agreement, 6))


def _mask_agreement(expected: Outputs, got: Outputs) -> float:
    return float(np.mean(expected[MASK] == got[MASK]))


def _box_agreement(expected: Outputs, got: Outputs) -> float:
    return agreement_of(_by_picture(expected), _by_picture(got), _BOX_PX, _SCORE).share


def _by_picture(outputs: Outputs) -> list[Detections]:
    names = (BOXES, SCORES, OBJECT_CLASSES)
    rows = zip(*(outputs[name] for name in names), strict=True)
    return [Detections.of_outputs(dict(zip(names, row, strict=True))) for row in rows]


_AGREEMENTS: dict[str, Callable[[Outputs, Outputs], float]] = {
    "segmentation": _mask_agreement,
    "detection": _box_agreement,
}
