"""``edgevit kernel``: the native superpixel kernels."""

from __future__ import annotations

from typing import Annotated

import typer


def kernel(
    remove: Annotated[
        bool,
        typer.Option(
            "--remove", help="Delete the built kernels; the ONNX function body runs again."
        ),
    ] = False,
) -> None:
    """Build the native superpixel kernels for ONNX Runtime on this machine."""
    from edgevit_runtimes.backends import kernel as kernels

    if remove:
        removed = kernels.remove()
        print(f"removed {removed}" if removed else "nothing was built; the function body runs")
        return
    print(f"built {kernels.build()}; sessions use it from now on")
