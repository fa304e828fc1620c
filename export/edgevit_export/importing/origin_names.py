"""origin_names: node_conv2d_1 becomes features.0/Conv, by what the file tells of its origin.

That is, in this order: the note of torch's exporter; the path in the node's name, as torch's former
exporter and TensorFlow's write it (``/features/features.0/Conv``); the name of the weight that it
reads (``features.0.weight``); else the module that made what it reads.
"""

from __future__ import annotations

import re

import onnx_ir as ir

from edgevit_export.passes.name_by_module import noted_module, producer, rename_nodes

_ODD = re.compile(r"[^\w.-]+")
_WEIGHT = re.compile(r"(?P<module>.+)\.(weight|bias|running_mean|running_var)")
_LONGEST = 100


def name_by_origin(model: ir.Model) -> bool:
    """Rewrites in place; True if a name changed. Inputs and outputs keep theirs."""
    modules: dict[ir.Node, str] = {}
    for node in model.graph:
        read = [modules[made_by] for made_by in map(producer, node.inputs) if made_by in modules]
        said = noted_module(node) or _path_of(node) or _module_of_weights(node)
        modules[node] = _plain(said) if said else next(iter(read), "")
    shared = _shared_start(list(modules.values()))
    named = {node: module.removeprefix(shared) for node, module in modules.items()}
    _drop_notes(model)
    return rename_nodes(model.graph, named)


def _path_of(node: ir.Node) -> str:
    """``/features/features.0/features.0.1/Conv`` to ``features.0.1``."""
    found: list[str] = []
    for part in [part for part in (node.name or "").split("/") if part][:-1]:
        if found and part.startswith(f"{found[-1]}."):
            found[-1] = part  # a Sequential's children carry its name
        else:
            found.append(part)
    return ".".join(found)


def _module_of_weights(node: ir.Node) -> str:
    weights = [value for value in node.inputs if value is not None and value.is_initializer()]
    found = (_WEIGHT.fullmatch(str(weight.name)) for weight in weights)
    return next((match["module"] for match in found if match), "")


def _plain(module: str) -> str:
    """Without what a terminal or our own names would take for something else."""
    return _ODD.sub("_", module)[:_LONGEST].strip("._")


def _shared_start(modules: list[str]) -> str:
    """``vit.`` where every module is within ``vit``."""
    shared = ""
    named = [module for module in modules if module]
    while named:
        firsts = {module.removeprefix(shared).partition(".")[0] for module in named}
        longer = f"{shared}{next(iter(firsts))}."
        if len(firsts) > 1 or not all(module.startswith(longer) for module in named):
            break
        shared = longer
    return shared


def _drop_notes(model: ir.Model) -> None:
    """Where it came from is in the names now; the notes hold paths of somebody's machine."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for node in model.graph:
        node.metadata_props.clear()
        node.doc_string = None
