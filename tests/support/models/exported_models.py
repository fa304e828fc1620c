"""Models of the zoo as the export pipeline writes them, without its gates and its files."""

from __future__ import annotations

from functools import lru_cache, partial

import onnx
import torch

from edgevit.zoo.interface.tensors import LOGITS
from edgevit_export.convert import trace
from edgevit_export.convert.graph import rewritten
from edgevit_export.convert.simplify import simplify
from edgevit_export.convert.weights import load_model
from edgevit_export.passes.keep_outputs import keep_outputs
from edgevit_export.passes.name_by_module import name_by_module, name_new_nodes
from edgevit_export.passes.regroup_gelu import regroup_gelu
from support.zoo import shallow


@lru_cache(maxsize=8)
def exported_model(name: str, batch: int | None = 1) -> onnx.ModelProto:
    """A model's ``model.onnx``, two layers deep if it has no shipped weights: those are random."""
    torch.manual_seed(0)
    traced = trace.trace(load_model(shallow(name)).module, batch)
    named = simplify(rewritten(traced, name_by_module))
    keep = partial(keep_outputs, names=[LOGITS])
    return rewritten(named, regroup_gelu, name_new_nodes, keep)
