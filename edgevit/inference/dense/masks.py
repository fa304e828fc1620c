"""Masks as other programs take them: shares of the classes, and run lengths for JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgevit.common.errors import InputError
from edgevit.zoo.tasks import VOID

_MOST_PIXELS = 1 << 28


def class_shares(mask: NDArray[np.uint8], classes: int) -> NDArray[np.float32]:
    """float32 [classes]: which share of the answered pixels each class has; they add up to 1."""
    counts = np.bincount(mask.reshape(-1), minlength=256)[:VOID][:classes]
    return np.asarray(counts / max(1, counts.sum()), np.float32)


def runs_of(mask: NDArray[np.uint8]) -> dict[str, Any]:
    """``{"height_px", "width_px", "runs": [class, length, class, length, ...]}``, row by row.

    255 stands for pixels of which the model saw nothing.
    """
    flat = mask.reshape(-1)
    starts = np.flatnonzero(np.diff(flat, prepend=flat[:1] ^ 1)) if flat.size else np.array([], int)
    lengths = np.diff(starts, append=flat.size)
    runs = np.stack([flat[starts].astype(np.int64), lengths], axis=1).reshape(-1)
    return {"height_px": mask.shape[0], "width_px": mask.shape[1], "runs": runs.tolist()}


def mask_of_runs(content: Any) -> NDArray[np.uint8]:
    """The mask, uint8 [H, W], that :func:`runs_of` wrote.

    Raises:
        InputError: it is not that, or its runs do not fill the picture.
    """
    try:
        height, width = int(content["height_px"]), int(content["width_px"])
        runs = np.asarray(content["runs"], np.int64).reshape(-1, 2)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"This is no run-length mask: {error}.") from error
    fits = 0 < height * width <= _MOST_PIXELS and runs[:, 1].sum() == height * width
    if not fits or runs.min(initial=0) < 0 or runs[:, 0].max(initial=0) > VOID:
        raise InputError(
            f"A mask of {width}x{height} pixels has runs of {int(runs[:, 1].sum())} pixels; they "
            "must fill it, with classes from 0 to 255."
        )
    return np.repeat(runs[:, 0], runs[:, 1]).astype(np.uint8).reshape(height, width)
