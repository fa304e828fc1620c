"""A bundle of which one variant also gives tensors from its inside, for as long as it is needed.

It is opened as every other variant is: in the same runtime, with the same options.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnx_ir as ir
from msgspec.structs import replace

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import seal
from edgevit.bundle.manifest import FLOAT_VARIANT, REFERENCE_FILE
from edgevit.common.errors import DamagedError, InputError
from edgevit.zoo.interface.tensors import TensorSpec
from edgevit_export.convert.graph import tensor_specs, values_by_name
from edgevit_export.convert.read_onnx import read_onnx, understood


@contextmanager
def exposed(bundle: Bundle, variant: str, tensors: Sequence[str]) -> Iterator[Bundle]:
    """The variant alone, in a folder that is gone afterwards, with more outputs.

    Raises:
        InputError: the file is no ONNX model (an engine), or has no such tensors.
        DamagedError: the file cannot be read, or is another model than the manifest's.
    """
    model = load_variant(bundle, variant)
    _refuse_other_outputs(bundle, variant, model)
    entry = bundle.manifest.variants[variant]
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with understood(bundle.path / entry.file):
            _add_outputs(model.graph, tensors, lambda: load_variant(bundle, FLOAT_VARIANT).graph)
            outputs = tensor_specs(model.graph.outputs)
            ir.save(model, folder / entry.file)
        shutil.copy2(bundle.path / REFERENCE_FILE, folder / REFERENCE_FILE)
        manifest = replace(
            bundle.manifest,
            variants={variant: entry},
            chosen={},
            superpixel_map=None,
            outputs=outputs,
        )
        seal(folder, manifest)
        yield Bundle.open(folder)


def load_variant(bundle: Bundle, variant: str) -> ir.Model:
    """The graph of a variant, with the types and shapes of its tensors.

    Raises:
        InputError: it is no ONNX file.
        DamagedError: it should be one, and cannot be read.
    """
    file = bundle.variant(variant)
    if file.suffix != ".onnx":
        raise InputError(
            f"'{variant}' is a compiled {bundle.manifest.variants[variant].runtime} engine: no "
            "tensor inside it can be looked at. Name the variant that it was built from."
        )
    with understood(file):
        return ir.from_proto(onnx.shape_inference.infer_shapes(read_onnx(file), data_prop=True))


def _refuse_other_outputs(bundle: Bundle, variant: str, model: ir.Model) -> None:
    given = [str(output.name) for output in model.graph.outputs]
    expected = [output.name for output in bundle.manifest.outputs]
    if given != expected:
        raise DamagedError(
            f"{bundle.variant(variant)} gives {', '.join(given) or 'nothing'}, but the manifest "
            f"says {', '.join(expected)}. Export the bundle again."
        )


def inner_tensors(bundle: Bundle, variant: str) -> list[TensorSpec]:
    """What is computed from the picture and could be exposed, in the order of computing.

    Raises:
        InputError, DamagedError: see :func:`load_variant`.
    """
    model = load_variant(bundle, variant)
    with understood(bundle.path / bundle.entry(variant).file):
        return _inner_tensors(model)


def _inner_tensors(model: ir.Model) -> list[TensorSpec]:
    seen: set[ir.Value | None] = set(model.graph.inputs)
    made: list[ir.Value] = []
    for node in model.graph:
        if seen.intersection(node.inputs):
            seen.update(node.outputs)
            made += [value for value in node.outputs if value.name and _is_typed(value)]
    return list(tensor_specs(made))


def _is_typed(value: ir.Value) -> bool:
    return value.dtype is not None and value.shape is not None


def _add_outputs(
    graph: ir.Graph, tensors: Sequence[str], load_float: Callable[[], ir.Graph]
) -> None:
    """Types are those of the float model where its own are not known: results of runtimes' ops."""
    own = values_by_name(graph)
    given = {output.name for output in graph.outputs}
    wanted = [name for name in dict.fromkeys(tensors) if name not in given]
    present = [own[name] for name in wanted if name in own]
    if any(not _is_typed(value) for value in present):
        _take_types(present, values_by_name(load_float()))
    known = [value for value in present if _is_typed(value)]
    if absent := set(wanted) - {value.name for value in known}:
        raise InputError(
            f"The model has no tensor {', '.join(sorted(map(str, absent)))} of a known shape."
        )
    graph.outputs.extend(known)


def _take_types(values: Sequence[ir.Value], typed: Mapping[str, ir.Value]) -> None:
    for value in values:
        if not _is_typed(value) and (other := typed.get(str(value.name))):
            value.type, value.shape = other.type, other.shape
