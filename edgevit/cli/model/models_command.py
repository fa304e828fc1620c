"""``edgevit models``: the zoo."""

from __future__ import annotations

from edgevit.cli.options import JsonOption


def models(json: JsonOption = False) -> None:
    """List the models: size, parameters, multiply-accumulates, shipped weights."""
    from edgevit.common.console import print_json, print_table
    from edgevit.zoo.registry import MODELS
    from edgevit.zoo.sizes import size_of

    content = [
        {
            "name": name,
            "family": entry.spec.family,
            "image_px": entry.spec.image_px,
            "parameters": size_of(name).parameters,
            "macs": size_of(name).macs,
            "classes": entry.spec.classes,
            "shipped_weights": entry.weights.name if entry.weights else None,
            "summary": entry.summary,
        }
        for name, entry in MODELS.items()
    ]
    if json:
        print_json(content)
        return
    rows = [
        (
            str(m["name"]),
            f"{m['image_px']}",
            f"{int(str(m['parameters'])) / 1e6:.2f} M",
            f"{int(str(m['macs'])) / 1e9:.3f} G",
            "yes" if m["shipped_weights"] else "no",
            str(m["summary"]),
        )
        for m in content
    ]
    columns = ("model", "pixels", "parameters", "MACs", "weights", "what")
    title = "Models (parameters and MACs with 1000 classes)"
    print_table(title, columns, rows, numeric=("pixels", "parameters", "MACs"))
