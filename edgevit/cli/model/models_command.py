"""``edgevit models``: the zoo."""

from __future__ import annotations

from edgevit.cli.options import JsonOption


def models(json: JsonOption = False) -> None:
    """List the models: size, parameters, multiply-accumulates, shipped weights."""
    from edgevit.common.console import show
    from edgevit.zoo.listing import list_models

    show(list_models(), json)
