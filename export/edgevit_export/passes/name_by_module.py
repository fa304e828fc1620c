"""name_by_module: linear_5 = Gemm (..) becomes blocks.0.output/Gemm, by the module that called it.

The exporter notes the torch module of every node, and its tensors are numbered. Names that say
where a node comes from make a profile, a report of layers and an error message readable.
Simplifying keeps the names of tensors but makes nodes of its own: those get the module of what
reads them.
"""

from __future__ import annotations

import ast
from itertools import chain, count

import onnx_ir as ir

from edgevit.inference.node_names import SEPARATOR, module_of

_SCOPES = "pkg.torch.onnx.name_scopes"
_ROOT = "module"


def name_by_module(model: ir.Model) -> bool:
    """Rewrites a traced model in place; True if a name changed. Inputs and outputs keep theirs."""
    modules: dict[ir.Node, str] = {}
    for node in model.graph:
        read = [modules[made_by] for made_by in map(producer, node.inputs) if made_by in modules]
        noted = noted_module(node)
        modules[node] = noted if noted is not None else next(iter(read), "")
    return rename_nodes(model.graph, modules)


def name_new_nodes(model: ir.Model) -> bool:
    """Rewrites a simplified model in place; True if a name changed."""
    modules: dict[ir.Node, str] = {}
    read_by: dict[ir.Value, str] = {}  # the module that reads a tensor first
    for node in reversed(model.graph):
        names = (*(output.name for output in node.outputs), node.name)
        named = [module_of(name) for name in names if name and SEPARATOR in name]
        read = [read_by[output] for output in node.outputs if output in read_by]
        modules[node] = next(iter([*named, *read]), "")
        read_by |= {value: modules[node] for value in node.inputs if value is not None}
    return rename_nodes(model.graph, modules)


def producer(value: ir.Value | None) -> ir.Node | None:
    return None if value is None else value.producer()


def noted_module(node: ir.Node) -> str | None:
    """The innermost module in the exporter's note; the last entry of a note is the call itself."""
    note = node.metadata_props.get(_SCOPES)
    if note is None:
        return None
    try:
        innermost = str(ast.literal_eval(note)[-2])
    except (ValueError, SyntaxError, LookupError, TypeError, RecursionError, MemoryError):
        return None  # somebody else's note
    return innermost.removeprefix(_ROOT).removeprefix(".")


def rename_nodes(graph: ir.Graph, modules: dict[ir.Node, str]) -> bool:
    """Names every node ``MODULE/Op``, and its results too, unless they are outputs of the graph."""
    fixed = {value.name for value in (*graph.inputs, *graph.outputs)}
    taken = fixed | set(graph.initializers)  # a folded node left its name
    changed = False
    for node in graph:
        module = modules[node]
        name = _free_name(f"{module}{SEPARATOR}{node.op_type}" if module else node.op_type, taken)
        taken.add(name)
        changed |= node.name != name
        node.name = name
        for place, output in enumerate(node.outputs):
            if output.name and not output.is_graph_output():
                output.name = name if len(node.outputs) == 1 else f"{name}:{place}"
    return changed


def _free_name(name: str, taken: set[str | None]) -> str:
    numbered = (f"{name}_{number}" for number in count(2))
    return next(free for free in chain([name], numbered) if free not in taken)
