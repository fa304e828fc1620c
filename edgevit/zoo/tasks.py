"""What a model does with a picture, and what its outputs are called.

==============  =============================================================================
classification  ``logits`` float32 [B, classes]
segmentation    ``mask`` uint8 [B, H, W]: the class of every pixel of the model's input
detection       ``boxes`` float32 [B, N, 4]: left, top, right, bottom in pixels of the model's
                input; ``scores`` float32 [B, N], 0 to 1, highest first; ``classes`` int64 [B, N].
                A row with the score 0 is no object.
==============  =============================================================================

Masks and boxes are brought back to a picture's own pixels by
:mod:`edgevit.inference.dense.letterbox`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

Task = Literal["classification", "segmentation", "detection"]

LOGITS = "logits"
MASK = "mask"
BOXES, SCORES, OBJECT_CLASSES = "boxes", "scores", "classes"

TASK_OUTPUTS: dict[Task, tuple[str, ...]] = {
    "classification": (LOGITS,),
    "segmentation": (MASK,),
    "detection": (BOXES, SCORES, OBJECT_CLASSES),
}

# A mask holds a class in a byte, and the last value is kept for pixels that have none.
VOID = 255
MOST_MASK_CLASSES = 255


def task_of_outputs(names: Collection[str]) -> Task:
    """The task whose outputs are all among some names.

    Raises:
        ValueError: there is none.
    """
    for task, outputs in TASK_OUTPUTS.items():
        if set(outputs) <= set(names):
            return task
    raise ValueError(f"the outputs {', '.join(names)} are those of no task")
