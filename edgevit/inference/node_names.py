"""How nodes of an exported graph are named, and the part of the model that a name belongs to.

A node is called ``MODULE/Op`` by the torch module that computes it, such as
``blocks.0.mlp.0/Gemm``. Runtimes append to it (``blocks.0.mlp.0/Gemm/WithoutBiases``).
"""

from __future__ import annotations

from collections.abc import Callable

SEPARATOR = "/"

TRUNK, SUPERPIXELS, EMBEDDING, ATTENTION, MLP, HEAD = GROUPS = (
    "trunk",
    "superpixels",
    "embedding",
    "attention",
    "MLP",
    "head",
)
# A module's name holds one of these, and the first that is found decides.
_WORDS = {
    "trunk": TRUNK,
    "superpixels": SUPERPIXELS,
    "mlp": MLP,
    "norm_mlp": MLP,
    "blocks": ATTENTION,
    "keys_and_values": ATTENTION,
    "residual": ATTENTION,
}
_LAST = ("norm", "head")  # modules behind the last block


# The family of models that were not made here: nothing is known of their modules' names.
IMPORTED = "imported"
UNNAMED = "unnamed"  # what does not say its module


def module_of(name: str) -> str:
    """``blocks.0.mlp.0/Gemm`` to ``blocks.0.mlp.0``; empty for what is in no module."""
    return name.partition(SEPARATOR)[0] if SEPARATOR in name else ""


def layer_of(product: str) -> str:
    """The layer of a matrix product, by its result: the module, for the first product in it."""
    for operation in ("Gemm", "MatMul", "Conv"):
        product = product.removesuffix(f"{SEPARATOR}{operation}")
    return product


def group_of(module: str) -> str:
    """The part of the model that a module belongs to, one of ``GROUPS``."""
    words = module.split(".")
    if words[0] in _LAST:
        return HEAD
    return next((group for word, group in _WORDS.items() if word in words), EMBEDDING)


def group_in(family: str) -> Callable[[str], str]:
    """What finds the part of a model that a module belongs to, for models of a family.

    Of an imported one it is the module's path as far as its first number: ``features.3`` of
    ``features.3.block.0``; without a number the first name.
    """
    return _prefix_of if family == IMPORTED else group_of


def _prefix_of(module: str) -> str:
    words = module.split(".")
    number = next((place for place, word in enumerate(words) if word.isdecimal()), 0)
    return ".".join(words[: number + 1]) or UNNAMED
