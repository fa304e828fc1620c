"""Weights in and out: safetensors (with the model's name and classes), or ``.pth``.

A ``.pth`` is read with ``weights_only=True``: nothing in it is executed.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from edgevit.errors import CheckpointError
from edgevit.files import write_atomically

_NAMED_KEYS = 5
_WRAPPERS = ("model", "state_dict")


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and what the file says of itself (empty for a foreign file).

    ``notes`` are free strings, such as the recipe and the accuracy on the validation set.
    """

    tensors: Mapping[str, Tensor]
    model: str | None = None
    classes: tuple[str, ...] | None = None
    notes: Mapping[str, str] | None = None

    @property
    def head_classes(self) -> int | None:
        """The number of classes, read off the head's bias."""
        bias = self.tensors.get("head.bias")
        return None if bias is None or bias.ndim != 1 else bias.shape[0]


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads a file by its suffix.

    Raises:
        CheckpointError: no such file, not a checkpoint, or one that holds more than tensors.
    """
    if not path.is_file():
        raise CheckpointError(f"No such checkpoint: {path}.")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix in {".pth", ".pt"}:
        return Checkpoint(_read_pth(path))
    raise CheckpointError(
        f"{path} has the suffix '{path.suffix}'; expected .safetensors, .pth or .pt."
    )


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}.") from error
    classes = metadata.pop("classes", None)
    return Checkpoint(
        tensors,
        model=metadata.pop("model", None),
        classes=None if classes is None else tuple(json.loads(classes)),
        notes=metadata,
    )


def _read_pth(path: Path) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        first_line = str(error).strip().partition("\n")[0]
        raise CheckpointError(
            f"{path} cannot be read as plain weights: {first_line} "
            "Save it again as torch.save(model.state_dict(), path), or as safetensors."
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(
            f"{path} holds a {type(content).__name__}; expected a state dict (name to tensor)."
        )
    strangers = [key for key, value in content.items() if not isinstance(value, Tensor)]
    if strangers:
        raise CheckpointError(
            f"{path} holds entries that are not tensors: {_some(strangers)}. Expected a state dict."
        )
    return dict(content)


def load_into(module: nn.Module, checkpoint: Checkpoint, source: str) -> None:
    """Copies every tensor; float16 and bfloat16 become the module's float32.

    Raises:
        CheckpointError: keys are missing, unexpected or of the wrong shape (each is named), or a
            value is NaN or infinite.
    """
    wanted = module.state_dict()
    given = checkpoint.tensors
    problems = []
    if missing := [key for key in wanted if key not in given]:
        problems.append(f"missing: {_some(missing)}")
    if unexpected := [key for key in given if key not in wanted]:
        problems.append(f"unexpected: {_some(unexpected)}")
    mismatched = [
        f"{key} is {list(given[key].shape)}, expected {list(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in given and given[key].shape != tensor.shape
    ]
    if mismatched:
        problems.append(f"wrong shape: {_some(mismatched)}")
    if problems:
        raise CheckpointError(
            f"{source} does not fit the model. {'; '.join(problems)}. "
            "Choose the model it was trained as with --model, and its classes with --classes."
        )
    if broken := [key for key in wanted if not torch.isfinite(given[key]).all()]:
        raise CheckpointError(
            f"{source} holds NaN or infinite values in: {_some(broken)}. "
            "Take an earlier checkpoint."
        )
    module.load_state_dict({key: given[key].to(tensor.dtype) for key, tensor in wanted.items()})


def save_checkpoint(
    path: Path, module: nn.Module, model: str, classes: tuple[str, ...], notes: Mapping[str, str]
) -> None:
    """Writes float16 safetensors that name their model and classes, whole or not at all."""
    half = {key: value.half().contiguous() for key, value in module.state_dict().items()}
    metadata = {"model": model, "classes": json.dumps(classes), **notes}
    write_atomically(path, lambda aside: save_file(half, aside, metadata))


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED_KEYS])
    more = len(names) - _NAMED_KEYS
    return shown if more <= 0 else f"{shown} and {more} more"
