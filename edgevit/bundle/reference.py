"""``reference.npz``: real pictures and the torch model's answers, to verify without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.bundle.manifest import REFERENCE_FILE, Manifest
from edgevit.common.errors import DamagedError, InputError
from edgevit.common.untrusted.npz import read_npz
from edgevit.inference.runner import Array
from edgevit.zoo.tasks import LOGITS, TASK_OUTPUTS

_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Reference:
    """Real pictures, uint8 [n, H, W, 3], and the float model's outputs for them, by name."""

    images: Array
    outputs: Mapping[str, Array]


def read_reference(file: Path, manifest: Manifest) -> Reference:
    """Reads ``reference.npz``.

    Raises:
        DamagedError: it cannot be read, or does not fit the model of the manifest.
    """
    try:
        reference = _parsed(file)
        _check(reference, manifest)
    except (ValueError, KeyError, InputError) as error:
        raise DamagedError(f"{file} is damaged ({error}). Export the bundle again.") from error
    return reference


def _check(reference: Reference, manifest: Manifest) -> None:
    """Raises ValueError or KeyError for what is not as :class:`Reference` says."""
    size, classes = manifest.preprocess.size_px, len(manifest.classes)
    images = reference.images
    if images.dtype != np.uint8 or not len(images) or images.shape[1:] != (size, size, 3):
        raise ValueError(f"pictures {images.dtype}{list(images.shape)}")
    for name in TASK_OUTPUTS[manifest.task]:
        if len(reference.outputs[name]) != len(images):
            raise ValueError(
                f"{len(images)} pictures, {name} {list(reference.outputs[name].shape)}"
            )
    if manifest.task != "classification":
        return
    logits = reference.outputs[LOGITS]
    if logits.dtype.kind != "f" or logits.shape != (len(images), classes):
        raise ValueError(f"logits {logits.dtype}{list(logits.shape)}")


def _parsed(file: Path) -> Reference:
    arrays = read_npz(file, _MOST_BYTES)
    outputs = {k.removeprefix("output."): array for k, array in arrays.items() if "." in k}
    return Reference(arrays["images"], outputs)


def write_reference(folder: Path, reference: Reference) -> None:
    """Writes ``reference.npz``."""
    arrays: dict[str, Any] = {f"output.{n}": array for n, array in reference.outputs.items()}
    np.savez_compressed(folder / REFERENCE_FILE, images=reference.images, **arrays)
