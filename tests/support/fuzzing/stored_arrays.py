"""Arrays in files: ``reference.npz``, checkpoints of three formats, the state of a training."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from edgevit.bundle.bundle import Bundle
from edgevit.models.checkpoint import load_into, read_checkpoint
from edgevit.training.state import STATE_FILE, RunState
from support.fuzzing.mutations import Rng, changed_file, changed_json, one_of
from support.fuzzing.sandbox import Subject
from support.fuzzing.small_bundle import put_file, small_bundle

_IDENTITY = {"model": "small"}
_LENGTH_BYTES = 8


def subjects(scratch: Path, seed: int) -> list[Subject]:
    """One for each format."""
    bundle = small_bundle(scratch / "referenced.edgevit")
    run = scratch / "run"
    run.mkdir()
    module = _module()

    def subject(
        name: str,
        seeds: Sequence[bytes],
        read: Callable[[bytes], None],
        change: Callable[[bytes, Sequence[bytes], Rng], bytes] = changed_file,
    ) -> Subject:
        def make(number: int) -> bytes:
            rng = np.random.default_rng([seed, number])
            return change(one_of(seeds, rng), seeds, rng)

        return Subject(name, make, read)

    def read_reference(content: bytes) -> None:
        put_file(bundle.path, "reference.npz", content)
        Bundle.open(bundle.path).reference()

    def read_state(content: bytes) -> None:
        (run / STATE_FILE).write_bytes(content)
        RunState.load(run, dict(_IDENTITY))

    def reader(suffix: str) -> Callable[[bytes], None]:
        def read(content: bytes) -> None:
            path = scratch / f"weights{suffix}"
            path.write_bytes(content)
            load_into(module, read_checkpoint(path), str(path))

        return read

    return [
        subject("reference.npz", _references(bundle.path), read_reference),
        subject("checkpoint .safetensors", _safetensors(module), reader(".safetensors"), _tensors),
        subject("checkpoint .pth", _pickles(module), reader(".pth")),
        subject("training state last.pt", _states(module, run), read_state),
    ]


def _module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3))


def _references(bundle: Path) -> list[bytes]:
    """Compressed, stored, and with arrays that are not asked for."""
    whole = (bundle / "reference.npz").read_bytes()
    with np.load(BytesIO(whole)) as content:
        arrays = dict(content)
    stored, other = BytesIO(), BytesIO()
    np.savez(stored, **arrays)
    np.savez(other, **arrays, other=np.zeros((2, 0, 5), np.complex64), text=np.asarray(["é"]))
    return [whole, stored.getvalue(), other.getvalue()]


def _safetensors(module: nn.Module) -> list[bytes]:
    weights = {key: value.contiguous() for key, value in module.state_dict().items()}
    halves = {key: value.half() for key, value in weights.items() if value.ndim}
    return [
        save(weights, {"model": "small", "classes": json.dumps(["cat", "dog", "owl"])}),
        save(halves),
    ]


def _tensors(content: bytes, seeds: Sequence[bytes], rng: Rng) -> bytes:
    """Bytes of the file, or values of its JSON header under the right length."""
    if rng.random() < 0.5:
        return changed_file(content, seeds, rng)
    end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = changed_json(content[_LENGTH_BYTES:end].decode(), rng)
    return len(header).to_bytes(_LENGTH_BYTES, "little") + header + content[end:]


def _pickles(module: nn.Module) -> list[bytes]:
    """Of today's format, of that before 1.6, and with a moving average."""
    state = module.state_dict()
    return [
        _saved(state),
        _saved(state, _use_new_zipfile_serialization=False),
        _saved({"model": state, "model_ema": {"module": state}, "epoch": 3}),
    ]


def _states(module: nn.Module, run: Path) -> list[bytes]:
    state = module.state_dict()
    RunState(dict(_IDENTITY), 1, 2, model=state, average=state).save(run)
    optimizer = torch.optim.AdamW(module.parameters())
    full = RunState(dict(_IDENTITY), model=state, average=state, optimizer=optimizer.state_dict())
    return [(run / STATE_FILE).read_bytes(), _saved(vars(full))]


def _saved(content: object, **options: bool) -> bytes:
    file = BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()
