"""Reads an ONNX file of any exporter: with its weights, functions inlined, of standard ops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

import onnx
from onnx import external_data_helper, inliner

from edgevit.bundle.bundle import WEIGHT_SUFFIXES
from edgevit.common.errors import InputError, some_of
from edgevit.common.storage.files import resolved
from edgevit.common.untrusted.bounded import open_regular
from edgevit.images.image_io import IMAGE_SUFFIXES
from edgevit_export.convert.graph import OPSET
from edgevit_export.convert.read_onnx import read_onnx, understood
from edgevit_export.importing.opset import opset_of

_STANDARD = ("", "ai.onnx")
_MICROSOFT = "com.microsoft"
_MOST_BYTES = (1 << 31) - 1  # of a protobuf message


def read_classifier(file: Path) -> onnx.ModelProto:
    """A model, complete and of standard ops alone.

    Raises:
        DamagedError: it is no ONNX model, or one that contradicts itself.
        InputError: there is no such file, weights are missing beside it, it needs ops that no
            runtime has, or is larger than 2 GiB.
    """
    refuse_other_files(file)
    model = read_onnx(file)
    with understood(file):
        _read_external_weights(model, file)
        if model.ByteSize() > _MOST_BYTES:
            raise InputError(f"{file} has more than 2 GiB of weights; such models are not run.")
        return standard_model(model, str(file))


def standard_model(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """With its functions inlined, so that only standard ops are left.

    Raises:
        InputError: it needs ops that are in no standard; they are named.
        Exception: what ``onnx`` raises for a model that contradicts itself.
    """
    if not model.graph.node:
        raise InputError(f"{name} is no ONNX model: it has no nodes. Export or copy it again.")
    if (opset := opset_of(model)) > (newest := onnx.defs.onnx_opset_version()):
        raise InputError(
            f"{name} is of opset {opset}; the module onnx that is installed knows {newest} at "
            f"most. Upgrade it, or export the model again with opset {OPSET}."
        )
    if model.functions:
        model = inliner.inline_local_functions(model, convert_version=True)
    _refuse_foreign_ops(model, name)
    return model


def check_classifier(model: onnx.ModelProto) -> None:
    """Raises what ``onnx.checker`` does for a model that contradicts itself."""
    inferred = onnx.shape_inference.infer_shapes(model)
    for output in inferred.graph.output:  # the checker asks for a shape; not every exporter says it
        output.type.tensor_type.shape.SetInParent()
    onnx.checker.check_model(inferred)


def refuse_other_files(file: Path) -> None:
    """Raises InputError for what is no ONNX file at first sight; says what to do with it."""
    if file.is_dir():
        bundle = (file / "manifest.json").is_file()
        what = "a bundle already; use it as it is" if bundle else "a folder"
        raise InputError(f"{file} is {what}. edgevit import takes an ONNX file.")
    if not file.exists():
        raise InputError(f"{file} is not there. Give the path of an ONNX file.")
    if (suffix := file.suffix.lower()) in WEIGHT_SUFFIXES:
        raise InputError(
            f"{file} holds weights, and edgevit import takes an ONNX file. Weights of a model of "
            f"the zoo become a bundle with: edgevit export --checkpoint {quote(str(file))}"
        )
    if suffix in IMAGE_SUFFIXES:
        raise InputError(
            f"{file} is a picture, and edgevit import takes an ONNX file. To answer a picture: "
            f"edgevit run {quote(str(file))}"
        )
    with open_regular(file):
        pass
    if not file.stat().st_size:
        raise InputError(f"{file} is empty. Export or copy the model again.")


def _read_external_weights(model: onnx.ModelProto, file: Path) -> None:
    external = [
        weight
        for weight in model.graph.initializer
        if external_data_helper.uses_external_data(weight)
    ]
    places = {external_data_helper.ExternalDataInfo(weight).location for weight in external}
    if absent := sorted(place for place in places if not (file.parent / place).is_file()):
        raise InputError(
            f"{file} keeps its weights in {some_of(absent)}, which is not beside it. Copy it there "
            f"too, into {resolved(file.parent)}."
        )
    external_data_helper.load_external_data_for_model(model, str(file.parent))


def _refuse_foreign_ops(model: onnx.ModelProto, name: str) -> None:
    found = Counter(
        f"{node.domain}.{node.op_type}"
        for node in _nodes(model.graph)
        if node.domain not in _STANDARD
    )
    if not found:
        return
    ops = some_of([f"{op} ({count} nodes)" if count > 1 else op for op, count in found.items()])
    if all(op.startswith(f"{_MICROSOFT}.") for op in found):
        raise InputError(
            f"{name} was rewritten by ONNX Runtime's optimiser, for ONNX Runtime alone: it uses "
            f"{ops}. Import the file that it was made from."
        )
    raise InputError(
        f"{name} uses ops that are in no ONNX standard and have no body in the file: {ops}. "
        "Export the model again without them, or with their bodies as ONNX functions."
    )


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Those of the branches and loops too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _nodes(inner)
