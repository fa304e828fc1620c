"""Which weights a model gets: a checkpoint, the shipped ones, or none (and then it says so)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from edgevit.common.errors import InputError
from edgevit.common.storage.hashes import sha256_of
from edgevit.models.build import build
from edgevit.models.checkpoint import Checkpoint, load_into, read_checkpoint, refuse_infinite
from edgevit.models.classifier import ZooModule
from edgevit.models.foreign.positions import fit_positions
from edgevit.models.foreign.vit_weights import translated
from edgevit.zoo.input_options import InputOptions
from edgevit.zoo.registry import MODELS, ModelEntry

UNTRAINED_SEED = 0
_IN_MEMORY = "a module in memory"


@dataclass(frozen=True)
class WeightedModel:
    """A module in eval mode and where its weights came from (``sha256`` None: untrained)."""

    module: ZooModule
    classes: tuple[str, ...]
    source: str
    sha256: str | None
    notes: Mapping[str, str]

    @property
    def trained(self) -> bool:
        return self.sha256 is not None


@dataclass(frozen=True)
class Adaptation:
    """How weights are used otherwise than they were saved.

    stated: how pictures are prepared, where it is said; else as the checkpoint says.
    resample_positions: interpolate learned positions of another image size.
    """

    stated: InputOptions = field(default_factory=InputOptions)
    resample_positions: bool = False


_AS_SAVED = Adaptation()


def load_model(
    entry: ModelEntry,
    checkpoint: Path | None = None,
    classes: tuple[str, ...] | int | None = None,
    weights_key: str | None = None,
    adaptation: Adaptation = _AS_SAVED,
) -> WeightedModel:
    """Builds a model of the zoo.

    Args:
        checkpoint: a file of weights; by default those that the package ships, if any. Those of a
            plain ViT may be timm's or transformers'.
        classes: names, or how many; by default what the checkpoint says.
        weights_key: see :func:`edgevit.models.checkpoint.read_checkpoint`.

    Raises:
        CheckpointError: the file does not fit the model.
        InputError: the classes do not fit the checkpoint.
    """
    if weights_key is not None and checkpoint is None:
        raise InputError("--weights-key chooses among the weights in a --checkpoint. Give one.")
    path = checkpoint or entry.weights
    if path is None or (checkpoint is None and not path.is_file()):
        return _untrained(replace(entry, spec=adaptation.stated.applied_to(entry.spec)), classes)
    content = read_checkpoint(path, weights_key)
    _refuse_other_model(content, entry.spec.name, path)
    spec, content = translated(entry.spec, content, str(path))
    names = _class_names(classes, content, path, spec.classes)
    spec = adaptation.stated.applied_to(content.input.applied_to(spec))
    module = build(spec.with_classes(len(names)))
    content = fit_positions(module, content, adaptation.resample_positions, str(path))
    load_into(module, content, str(path))
    source = path.name if checkpoint else f"shipped {path.name}"
    if content.taken:
        source = f"{source}: {content.taken}"
    return WeightedModel(
        _prepared(module), names, source, sha256_of(path), dict(content.notes or {})
    )


def _refuse_other_model(content: Checkpoint, name: str, path: Path) -> None:
    """A model of another size, ``NAME@SIZE``, may take the weights of ``NAME``."""
    if content.model in (None, name, name.partition("@")[0]):
        return
    model, _, size = str(content.model).partition("@")
    fix = f"Use --model {model}" if model in MODELS else "It is not in the zoo"
    if model in MODELS and size:
        fix += f" --image-px {size}"
    raise InputError(f"{path} holds weights of '{content.model}', not of '{name}'. {fix}.")


def model_in_memory(
    module: ZooModule, classes: tuple[str, ...] | int | None = None
) -> WeightedModel:
    """A copy of a module with the weights that it has now; the module itself stays as it is.

    Raises:
        InputError: the number of classes is not that of the module's head.
        CheckpointError: a weight is NaN or infinite.
    """
    refuse_infinite(module.state_dict(), _IN_MEMORY)
    wanted = module.spec.classes if classes is None else classes
    names = wanted if isinstance(wanted, tuple) else _numbered(wanted)
    if len(names) != module.spec.classes:
        raise InputError(
            f"classes gives {len(names)} classes, but the head of the module has "
            f"{module.spec.classes}."
        )
    copy = deepcopy(module).cpu().float()
    return WeightedModel(_prepared(copy), names, _IN_MEMORY, _digest(copy), {})


def _digest(module: ZooModule) -> str:
    """Hex SHA-256 over the names and values of all weights."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _untrained(entry: ModelEntry, classes: tuple[str, ...] | int | None) -> WeightedModel:
    wanted = classes if classes is not None else entry.spec.classes
    names = wanted if isinstance(wanted, tuple) else _numbered(wanted)
    with torch.random.fork_rng():
        torch.manual_seed(UNTRAINED_SEED)
        module = build(entry.spec.with_classes(len(names)))
    source = f"untrained (random, seed {UNTRAINED_SEED})"
    return WeightedModel(_prepared(module), names, source, None, {})


def _class_names(
    classes: tuple[str, ...] | int | None, content: Checkpoint, path: Path, default: int
) -> tuple[str, ...]:
    in_head = content.head_classes
    if classes is None:
        return content.classes or _numbered(in_head or default)
    names = classes if isinstance(classes, tuple) else _numbered(classes)
    if in_head is not None and len(names) != in_head:
        raise InputError(
            f"--classes gives {len(names)} classes, but the head in {path} has {in_head}."
        )
    if not isinstance(classes, tuple) and content.classes:
        return content.classes
    return names


def _numbered(count: int) -> tuple[str, ...]:
    if count < 1:
        raise InputError(f"--classes got {count}; a classifier needs at least one class.")
    return tuple(f"class {i}" for i in range(count))


def _prepared(module: ZooModule) -> ZooModule:
    return module.eval().requires_grad_(False)
