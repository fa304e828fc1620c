"""Weights in and out: safetensors (with the model's name and classes), or ``.pth``.

A ``.pth`` is read with ``weights_only=True``: nothing in it is executed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from edgevit.common.errors import CheckpointError, InputError, some_of
from edgevit.common.schema import plain_json
from edgevit.common.storage.files import write_atomically
from edgevit.common.untrusted.parsers import parsing
from edgevit.models.foreign.wrappers import without_wrappers
from edgevit.models.pickled_claims import refuse_large_file
from edgevit.models.pickled_weights import read_pickled
from edgevit.models.weight_sets import weight_set
from edgevit.zoo import ZOO
from edgevit.zoo.input_options import InputOptions, options_in, stated
from edgevit.zoo.spec import ModelSpec

_LENGTH_BYTES = 8  # of a safetensors header, and what it is padded to
_INPUT = "preprocess"  # among the notes of a file
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and what the file says of itself (empty for a foreign file).

    ``notes`` are free strings, such as the recipe and the accuracy on the validation set.
    ``taken`` says which of the file's weights these are, where it has several by name.
    ``input`` is how pictures were prepared in training, where that differs from the zoo's way.
    """

    tensors: Mapping[str, Tensor]
    model: str | None = None
    classes: tuple[str, ...] | None = None
    notes: Mapping[str, str] | None = None
    taken: str = ""
    input: InputOptions = field(default_factory=InputOptions)

    @property
    def head_classes(self) -> int | None:
        """The number of classes, read off the head's bias."""
        bias = self.tensors.get("head.bias")
        return None if bias is None or bias.ndim != 1 else bias.shape[0]


def read_checkpoint(path: Path, weights_key: str | None = None) -> Checkpoint:
    """Reads a file by its suffix.

    Args:
        weights_key: of a ``.pth`` with several sets of weights, which to take; by default their
            moving average, if there is one.

    Raises:
        CheckpointError: no such file, not a checkpoint, one that holds more than tensors, or
            without weights of that key.
    """
    if not path.exists():
        raise CheckpointError(f"No such checkpoint: {path}.{_of_device_wheel(path)}")
    if path.is_dir():
        raise CheckpointError(
            f"{path} is a folder; give a file of weights (.safetensors, .pth or .pt), such as "
            "runs/MODEL/MODEL.safetensors of 'edgevit train'."
        )
    refuse_large_file(path)
    if path.suffix == ".safetensors":
        if weights_key is not None:
            raise CheckpointError(
                f"{path} holds one set of weights; --weights-key is for .pth and .pt. Leave it out."
            )
        return _read_safetensors(path)
    if path.suffix in {".pth", ".pt"}:
        return _read_pth(path, weights_key)
    if path.suffix == ".onnx":
        raise CheckpointError(
            f"{path} is an ONNX model, not a file of weights. A bundle is made of it with: "
            f"edgevit import {quote(str(path))} --classes FILE"
        )
    raise CheckpointError(
        f"{path} has the suffix '{path.suffix}'; expected .safetensors, .pth or .pt."
    )


def _of_device_wheel(path: Path) -> str:
    if path.parent != ZOO:
        return ""
    return (
        " This edgevit was installed from a device's wheel, which has no training weights; they "
        "are the wheel edgevit-weights, which 'make wheels' writes beside it."
    )


def _read_safetensors(path: Path) -> Checkpoint:
    with parsing(_no_safetensors(path)), safe_open(path, framework="pt") as file:
        named = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata() or {}
    classes, said = metadata.pop("classes", None), metadata.pop(_INPUT, None)
    checkpoint = Checkpoint(
        without_wrappers(named),
        model=metadata.pop("model", None),
        classes=None if classes is None else _class_names(classes, path),
        notes=metadata,
        input=InputOptions() if said is None else _input_options(said, path),
    )
    head = checkpoint.head_classes
    if checkpoint.classes is not None and head not in (None, len(checkpoint.classes)):
        raise CheckpointError(
            f"{path} contradicts itself: it names {len(checkpoint.classes)} classes, but its head "
            f"has {head}. Save it again."
        )
    return checkpoint


def _class_names(text: str, path: Path) -> tuple[str, ...]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    whole = isinstance(names, list) and all(isinstance(n, str) and n for n in names)
    if not whole or not names or len(set(names)) != len(names):
        raise CheckpointError(
            f"{path}: its 'classes' are {text[:60]!r}; expected a JSON list of distinct names."
        )
    return tuple(names)


def _input_options(text: str, path: Path) -> InputOptions:
    try:
        content = plain_json(text)
        return options_in(content if isinstance(content, dict) else {})
    except (ValueError, InputError) as error:
        raise CheckpointError(
            f"{path}: its '{_INPUT}' is {text[:60]!r}, which cannot be used: {error} Save it again."
        ) from error


def input_stated_in(path: Path) -> InputOptions:
    """How pictures were prepared for those weights, without reading them; a ``.pth`` says nothing.

    Raises:
        CheckpointError: it is not a safetensors file, or says what no model can have.
    """
    if path.suffix != ".safetensors" or not path.is_file():
        return InputOptions()
    refuse_large_file(path)
    with parsing(_no_safetensors(path)), safe_open(path, framework="pt") as file:
        said = (file.metadata() or {}).get(_INPUT)
    return InputOptions() if said is None else _input_options(said, path)


def _no_safetensors(path: Path) -> Callable[[str], CheckpointError]:
    return lambda reason: CheckpointError(f"{path} is not a safetensors file: {reason}.")


def input_notes(spec: ModelSpec) -> dict[str, str]:
    """How a model's pictures are prepared, to be saved with its weights; empty: the zoo's way."""
    differing = stated(spec.preprocess)
    return {_INPUT: json.dumps(differing)} if differing else {}


def _read_pth(path: Path, weights_key: str | None) -> Checkpoint:
    chosen = weight_set(read_pickled(path, _no_plain_weights), weights_key, path)
    named = without_wrappers(_named_tensors(chosen.weights, path))
    return Checkpoint(named, taken=str(chosen))


def _no_plain_weights(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read as plain weights; it is damaged, or holds more than tensors. "
        "Save it again as torch.save(model.state_dict(), path), or as safetensors."
    )


def _named_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    """A state dict, checked.

    Raises:
        CheckpointError: it is something else.
    """
    if not isinstance(content, Mapping) or not content:
        what = "nothing" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise CheckpointError(f"{path} holds {what}; expected a state dict (name to tensor).")
    strangers = [str(k) for k, v in content.items() if not _is_named_tensor(k, v)]
    if strangers:
        raise CheckpointError(
            f"{path} holds entries that are not tensors with a name: {some_of(strangers)}. "
            "Expected a state dict."
        )
    if hollow := [key for key, tensor in content.items() if _is_hollow(tensor)]:
        raise CheckpointError(
            f"{path} holds tensors without values of their own (on the meta device, or expanded): "
            f"{some_of(hollow)}. Save them as they are: tensor.contiguous()."
        )
    return dict(content)


def _is_hollow(tensor: Tensor) -> bool:
    """Whether it has fewer bytes than its shape says."""
    if tensor.layout != torch.strided:
        return False  # load_into names it
    held = 0 if tensor.is_meta else tensor.untyped_storage().nbytes()
    return tensor.numel() * tensor.element_size() > held


def _is_named_tensor(key: object, value: object) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor)


def load_into(module: nn.Module, checkpoint: Checkpoint, source: str) -> None:
    """Copies every tensor; float16 and bfloat16 become the module's float32.

    Raises:
        CheckpointError: keys are missing, unexpected or of the wrong shape (each is named), or a
            value is NaN or infinite.
    """
    own = module.state_dict()
    wanted = weights_of(own)
    given = checkpoint.tensors
    problems = []
    missing = [key for key in wanted if key not in given]
    if missing:
        problems.append(f"missing: {some_of(missing)}")
    if unexpected := [key for key in given if key not in own]:
        problems.append(f"unexpected: {some_of(unexpected)}")
    mismatched = [
        f"{key} is {list(given[key].shape)}, expected {list(tensor.shape)}"
        for key, tensor in wanted.items()
        if key in given and given[key].shape != tensor.shape
    ]
    if mismatched:
        problems.append(f"wrong shape: {some_of(mismatched)}")
    if problems:
        raise CheckpointError(
            f"{source} does not fit the model. {'; '.join(problems)}. {_remedy(missing, problems)}"
        )
    odd = [f"{k} is {given[k].dtype}" for k in wanted if given[k].dtype not in _FLOATS]
    odd += [f"{k} is {given[k].layout}" for k in wanted if given[k].layout != torch.strided]
    if odd:
        raise CheckpointError(
            f"{source} holds tensors that are not plain floating-point weights: {some_of(odd)}. "
            "Save them as float32 or float16."
        )
    weights = {key: given[key].to(tensor.dtype) for key, tensor in wanted.items()}
    refuse_infinite(weights, source)
    module.load_state_dict({**own, **weights})


def _remedy(missing: list[str], problems: list[str]) -> str:
    if len(problems) == 1 and missing and all(key.startswith("head.") for key in missing):
        return "It is a backbone without a head: train one with edgevit train --init."
    return (
        "Choose the model it was trained as with --model; the names are those of "
        "module.state_dict()."
    )


def weights_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state without its counters (BatchNorm's of batches), which no answer depends on."""
    return {key: tensor for key, tensor in state.items() if tensor.is_floating_point()}


def refuse_infinite(weights: Mapping[str, Tensor], source: str) -> None:
    """Raises CheckpointError for weights that hold NaN or infinity; they are named."""
    if broken := [key for key, weight in weights.items() if not torch.isfinite(weight).all()]:
        raise CheckpointError(
            f"{source} holds NaN or infinite values in: {some_of(broken)}. "
            "Take an earlier checkpoint."
        )


def save_checkpoint(
    path: Path, module: nn.Module, model: str, classes: tuple[str, ...], notes: Mapping[str, str]
) -> None:
    """Writes float16 safetensors that name their model and classes, whole or not at all.

    Equal weights and notes give equal bytes, so that a hash identifies them.
    """
    weights = weights_of(module.state_dict())
    half = {key: value.half().contiguous() for key, value in weights.items()}
    metadata = {"model": model, "classes": json.dumps(classes), **notes}
    content = _in_fixed_order(save(half, metadata))
    write_atomically(path, lambda aside: aside.write_bytes(content))


def _in_fixed_order(content: bytes) -> bytes:
    """A safetensors file whose header is sorted; the library writes notes in a random order.

    The format: the header's length in 8 bytes, the header as JSON padded with spaces, the tensors.
    """
    end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = json.dumps(json.loads(content[_LENGTH_BYTES:end]), sort_keys=True).encode()
    padded = header + b" " * (-len(header) % _LENGTH_BYTES)
    return len(padded).to_bytes(_LENGTH_BYTES, "little") + padded + content[end:]
