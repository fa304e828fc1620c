"""torch.onnx takes ten seconds for a model of any size: the same one is traced once in a run."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import pytest
from torch import Tensor, nn

from edgevit_export.convert import trace
from support.made_once import made_once
from support.processes import ROOT, begin_python

_TO_ONNX = trace.to_onnx


def share_traces(root: Path, patch: pytest.MonkeyPatch) -> None:
    """From now on what ``to_onnx`` gives is kept below ``root``, for other processes too.

    A graph is that of its spec, its weights, the batch and the outputs. What an export does with
    it, from superpixel bodies to the parity gate, is done each time.
    """

    def to_onnx(
        module: nn.Module, example: Tensor, names: list[str], dynamic_batch: bool
    ) -> onnx.ModelProto:
        def make(folder: Path) -> None:
            onnx.save(_TO_ONNX(module, example, names, dynamic_batch), folder / "traced.onnx")

        spec = getattr(getattr(module, "module", None), "spec", None)  # a teacher has none
        facts = spec and asdict(spec)  # not all of it is in the repr of a spec
        key = _key(module, (facts, example.shape, names, dynamic_batch))
        return onnx.load(made_once(root / key, make) / "traced.onnx")

    patch.setattr(trace, "to_onnx", to_onnx)


def begin_with_traces(root: Path, *arguments: object, **options: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own that shares the traces; see :func:`begin`."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r}); "
        "from pathlib import Path; import pytest; from support.traces import share_traces; "
        "share_traces(Path(sys.argv.pop(1)), pytest.MonkeyPatch()); "
        "from edgevit.cli import main; main()"
    )
    return begin_python("-c", code, root, *arguments, **options)


def _key(module: nn.Module, facts: object) -> str:
    digest = hashlib.sha256(repr((facts, module)).encode())
    for name, value in module.state_dict().items():
        digest.update(name.encode())
        digest.update(value.numpy(force=True).tobytes())
    return digest.hexdigest()[:24]
