"""name_by_module: linear_5 = Gemm (..) becomes blocks.0.output/Gemm, by the module that called it.

The exporter notes the torch module of every node, and its tensors are numbered. Names that say
where a node comes from make a profile, a report of layers and an error message readable.
Simplifying keeps the names of tensors but makes nodes of its own: those get the module of what
reads them.
"""

from __future__ import annotations

import ast
from itertools import chain, count

import onnx

from edgevit.inference.node_names import SEPARATOR, module_of

_SCOPES = "pkg.torch.onnx.name_scopes"
_ROOT = "module"


def name_by_module(model: onnx.ModelProto) -> bool:
    """Rewrites a traced model in place; True if a name changed. Inputs and outputs keep theirs."""
    producers = {output: node for node in model.graph.node for output in node.output}
    modules: dict[str, str] = {}
    for node in model.graph.node:
        read = [modules[name] for name in node.input if name in producers]
        noted = _noted_module(node)
        for output in node.output:
            modules[output] = noted if noted is not None else (read[0] if read else "")
    return _rename(model.graph, modules)


def name_new_nodes(model: onnx.ModelProto) -> bool:
    """Rewrites a simplified model in place; True if a name changed."""
    modules: dict[str, str] = {}  # of tensors: of the node that makes them, or first reads them
    for node in reversed(model.graph.node):
        named = [module_of(name) for name in (*node.output, node.name) if SEPARATOR in name]
        read = [modules[name] for name in node.output if name in modules]
        module = next(iter([*named, *read]), "")
        for name in (*node.output, *node.input):
            modules[name] = module
    made = [name for node in model.graph.node for name in node.output]
    return _rename(model.graph, {name: modules[name] for name in made})


def _noted_module(node: onnx.NodeProto) -> str | None:
    """The innermost module in the exporter's note; the last entry of a note is the call itself."""
    notes = [entry.value for entry in node.metadata_props if entry.key == _SCOPES]
    if not notes:
        return None
    innermost: str = ast.literal_eval(notes[0])[-2]
    return innermost.removeprefix(_ROOT).removeprefix(".")


def _rename(graph: onnx.GraphProto, modules: dict[str, str]) -> bool:
    """Names every node ``MODULE/Op``, and its results too, unless they are outputs of the graph."""
    fixed = {value.name for value in (*graph.input, *graph.output)}
    taken = fixed | {weight.name for weight in graph.initializer}  # a folded node left its name
    renamed: dict[str, str] = {}
    changed = False
    for node in graph.node:
        module = modules[node.output[0]]
        name = _free_name(f"{module}{SEPARATOR}{node.op_type}" if module else node.op_type, taken)
        taken.add(name)
        changed |= node.name != name
        node.name = name
        for place, output in enumerate(node.output):
            if output and output not in fixed:
                renamed[output] = name if len(node.output) == 1 else f"{name}:{place}"
    _rename_tensors(graph, renamed)
    return changed


def _free_name(name: str, taken: set[str]) -> str:
    numbered = (f"{name}_{number}" for number in count(2))
    return next(free for free in chain([name], numbered) if free not in taken)


def _rename_tensors(graph: onnx.GraphProto, renamed: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for value in graph.value_info:
        value.name = renamed.get(value.name, value.name)
