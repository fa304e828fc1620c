"""How large the models of the zoo are: read from a file that is generated, without torch.

``python -m edgevit_export.inspect.count_sizes`` writes ``sizes.json`` anew: after a model was added
or changed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edgevit.common.errors import InputError

SIZES_FILE = Path(__file__).with_name("sizes.json")
COMMAND = "python -m edgevit_export.inspect.count_sizes"


@dataclass(frozen=True)
class ModelSize:
    """Trainable numbers, and multiply-accumulates of all matrix products for one image.

    superpixel_macs: those of SLIC among ``macs``; 0 for a model without superpixels.
    """

    parameters: int
    macs: int
    superpixel_macs: int = 0


def size_of(name: str) -> ModelSize:
    """The size of a model of the zoo with 1000 classes.

    Raises:
        InputError: the file does not list it.
    """
    sizes = _all_sizes()
    if name not in sizes:
        raise InputError(f"{SIZES_FILE} does not list '{name}'. Write it anew: {COMMAND}")
    return sizes[name]


@cache
def _all_sizes() -> dict[str, ModelSize]:
    content = json.loads(SIZES_FILE.read_text(encoding="utf-8"))
    return {name: ModelSize(**size) for name, size in content.items()}
