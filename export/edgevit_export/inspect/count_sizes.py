"""Counts every model of the zoo and writes ``edgevit/zoo/sizes.json``.

python -m edgevit_export.inspect.count_sizes
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from edgevit.common.storage.files import write_atomically
from edgevit.models.count import count_spec
from edgevit.zoo.registry import MODELS
from edgevit.zoo.sizes import SIZES_FILE


def write_sizes(target: Path = SIZES_FILE) -> None:
    """Writes the file, whole or not at all; a minute, most of it for the largest models."""
    sizes = {name: asdict(count_spec(entry.spec)) for name, entry in MODELS.items()}
    lines = [f"  {json.dumps(name)}: {json.dumps(size)}" for name, size in sizes.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"  # a line a model: merges without conflicts
    write_atomically(target, lambda aside: aside.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    write_sizes()
    print(f"{len(MODELS)} models counted: {SIZES_FILE}")
