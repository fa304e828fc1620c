"""A bundle of which one variant also gives tensors from its inside, for as long as it is needed.

It is opened as every other variant is: in the same runtime, with the same options.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
from google.protobuf.message import DecodeError

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import seal
from edgevit.bundle.manifest import FLOAT_VARIANT, REFERENCE_FILE
from edgevit.common.errors import DamagedError, InputError
from edgevit.zoo.spec import TensorSpec
from edgevit_export.convert.graph import tensor_specs


@contextmanager
def exposed(bundle: Bundle, variant: str, tensors: Sequence[str]) -> Iterator[Bundle]:
    """The variant alone, in a folder that is gone afterwards, with more outputs.

    Raises:
        InputError: the file is no ONNX model (an engine), or has no such tensors.
        DamagedError: the file cannot be read, or is another model than the manifest's.
    """
    model = load_variant(bundle, variant)
    _refuse_other_outputs(bundle, variant, model)
    _add_outputs(model, tensors, load_variant(bundle, FLOAT_VARIANT))
    entry = bundle.manifest.variants[variant]
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        onnx.save(model, folder / entry.file)
        shutil.copy2(bundle.path / REFERENCE_FILE, folder / REFERENCE_FILE)
        manifest = replace(
            bundle.manifest,
            variants={variant: entry},
            chosen={},
            superpixel_map=None,
            outputs=tensor_specs(model.graph.output),
        )
        seal(folder, manifest)
        yield Bundle.open(folder)


def load_variant(bundle: Bundle, variant: str) -> onnx.ModelProto:
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
    try:
        return onnx.shape_inference.infer_shapes(onnx.load(file), data_prop=True)
    except (DecodeError, onnx.shape_inference.InferenceError) as error:
        raise DamagedError(
            f"{file} is no ONNX model ({error}). Export or copy it again."
        ) from error


def _refuse_other_outputs(bundle: Bundle, variant: str, model: onnx.ModelProto) -> None:
    given = [output.name for output in model.graph.output]
    expected = [output.name for output in bundle.manifest.outputs]
    if given != expected:
        raise DamagedError(
            f"{bundle.variant(variant)} gives {', '.join(given) or 'nothing'}, but the manifest "
            f"says {', '.join(expected)}. Export the bundle again."
        )


def inner_tensors(model: onnx.ModelProto) -> list[TensorSpec]:
    """What is computed from the picture and could be exposed, in the order of computing."""
    typed = {value.name: value for value in (*model.graph.value_info, *model.graph.output)}
    seen = {value.name for value in model.graph.input}
    made: list[str] = []
    for node in model.graph.node:
        if seen.intersection(node.input):
            seen.update(node.output)
            made += [name for name in node.output if name in typed]
    return list(tensor_specs(typed[name] for name in made))


def _add_outputs(model: onnx.ModelProto, tensors: Sequence[str], typed: onnx.ModelProto) -> None:
    """Types are those of another form of the model where its own are not known: runtimes' ops."""
    given = {output.name for output in model.graph.output}
    types = {value.name: value for value in (*typed.graph.value_info, *model.graph.value_info)}
    made = {name for node in model.graph.node for name in node.output}
    wanted = [name for name in dict.fromkeys(tensors) if name not in given]
    if absent := [name for name in wanted if name not in types or name not in made]:
        raise InputError(f"The model has no tensor {', '.join(absent)} of a known shape.")
    model.graph.output.extend(types[name] for name in wanted)
