"""``edgevit verify``: every variant of a bundle against the float reference."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevit.cli.options import (
    JsonOption,
    ThreadsOption,
    open_bundle,
    require_modules,
    untrained_note,
)
from edgevit.common.errors import CheckFailedError, InputError

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle
    from edgevit.common.progress import Progress
    from edgevit.images.image_io import Image
    from edgevit.inference.runner import Runner
    from edgevit_export.inspect.bisect import TensorError
    from edgevit_runtimes.selection.verify import Comparison, Expose, Verification

_BISECT_PICTURES = 4


def verify(
    bundle: Annotated[
        Path | None, typer.Argument(help="A bundle folder. Default: the prebuilt lla_tiny.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of real pictures, beside the bundle's own eight.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Pictures of --images, spread evenly.")] = 200,
    variant: Annotated[
        list[str] | None, typer.Option(help="A variant to verify, again and again. Default: all.")
    ] = None,
    tensors: Annotated[
        bool, typer.Option("--tensors", help="Find the first tensor that diverges from float.")
    ] = False,
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, help="Of --tensors: relative error. Default: by precision."),
    ] = None,
    threads: ThreadsOption = 1,
    json: JsonOption = False,
) -> None:
    """Compare every variant with the float reference: answers, superpixels, pass or fail."""
    from edgevit.common.console import print_json
    from edgevit.common.progress import progress_for_stderr
    from edgevit_runtimes.selection.verify import VerifyRequest
    from edgevit_runtimes.selection.verify import verify as verify_bundle

    if tolerance is not None and not tensors:
        raise InputError("--tolerance is one of --tensors; give both.")
    opened = open_bundle(bundle)
    named = tuple(variant or opened.manifest.variants)
    for name in named:
        opened.variant(name)  # an unknown one is an error before the work
    progress = progress_for_stderr()
    request = VerifyRequest(opened, named, _pictures(images, count), _expose(opened), threads)
    result = verify_bundle(request, progress)
    compared = _bisected(opened, _opened(named, result), tolerance, threads, progress, tensors)
    if json:
        print_json(_content(opened, result, compared))
    else:
        _print(opened, result, compared)
    _require(result, explicit=variant is not None)


def _opened(named: tuple[str, ...], result: Verification) -> list[str]:
    closed = {*result.not_opened, *result.damaged}
    return [name for name in named if name not in closed]


def _pictures(folder: Path | None, count: int) -> list[Image]:
    if folder is None:
        return []
    from edgevit.images import image_io

    files = image_io.files_in(folder)
    picked = min(count, len(files))
    return [image_io.read(files[i * len(files) // picked]) for i in range(picked)]


def _expose(bundle: Bundle) -> Expose | None:
    """None where superpixels cannot be seen: a model without them, or no module ``onnx``."""
    if bundle.manifest.superpixel_map is None or find_spec("onnx_ir") is None:
        return None
    from edgevit_export.inspect.expose import exposed

    return exposed


def _bisected(
    bundle: Bundle,
    variants: list[str],
    tolerance: float | None,
    threads: int,
    progress: Progress,
    wanted: bool,
) -> dict[str, list[TensorError]]:
    if not wanted:
        return {}
    require_modules("edgevit verify --tensors", "export", ("onnx", "onnx_ir"))
    from edgevit_export.inspect.bisect import Pair, bisect
    from edgevit_runtimes.backends.open_model import open_model, open_variant

    def open_reference(opened: Bundle, name: str) -> Runner:
        return open_model(opened.variant(name), "onnxruntime", threads, native=False)

    def open_it(opened: Bundle, name: str) -> Runner:
        return open_variant(opened, name, threads)

    pictures = bundle.reference().images[:_BISECT_PICTURES]
    return {
        name: bisect(Pair(bundle, name, pictures, open_it, open_reference), progress, tolerance)
        for name in variants
        if bundle.variant(name).suffix == ".onnx"
    }


def _content(
    bundle: Bundle, result: Verification, compared: dict[str, list[TensorError]]
) -> dict[str, Any]:
    content: dict[str, Any] = {
        "bundle": str(bundle.path),
        "holds": result.holds,
        "comparisons": [comparison.to_dict() for comparison in result.comparisons],
        "not_opened": dict(result.not_opened),
        "damaged": dict(result.damaged),
    }
    if compared:
        content["tensors"] = {
            name: [each.to_dict() for each in seen] for name, seen in compared.items()
        }
    return content


def _print(bundle: Bundle, result: Verification, compared: dict[str, list[TensorError]]) -> None:
    from edgevit.common.console import print_line, print_table

    columns = (
        "variant",
        "runtime",
        "precision",
        "against",
        "pictures",
        "top class agrees",
        "max diff",
        "mean diff",
        "same superpixels",
        "passes",
    )
    rows = [_row(comparison) for comparison in result.comparisons]
    print_table(f"{bundle.path}: against the float reference", columns, rows, columns[4:9])
    for name, reason in result.not_opened.items():
        print_line(f"{name}: not verified here: {reason}")
    for name, reason in result.damaged.items():
        print_line(f"{name}: damaged: {reason}")
    if bundle.manifest.superpixel_map is not None and find_spec("onnx_ir") is None:
        print('superpixels were not compared: that needs pip install "edgevit[export]"')
    if note := untrained_note(bundle):
        print_line(f"note: {note}")
    for name, seen in compared.items():
        _print_tensors(name, seen)


def _row(comparison: Comparison) -> tuple[str, ...]:
    found, same = comparison.agreement, comparison.superpixels_same
    count = found.images
    failures = comparison.failures()
    return (
        comparison.variant,
        comparison.runtime,
        found.limits.precision,
        comparison.reference,
        str(count),
        _percent(found.top1_agrees, count),
        f"{found.max_logit_difference:.2g}",
        f"{found.mean_difference:.2g}",
        "not seen" if same is None else _percent(same, count),
        "no: " + "; ".join(failures) if failures else "yes",
    )


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _print_tensors(name: str, compared: list[TensorError]) -> None:
    from edgevit.common.console import print_table
    from edgevit_export.inspect.bisect import first_divergence

    first = first_divergence(compared)
    where = f"first divergence at {first.tensor}" if first else "no tensor diverges"
    rows = [
        (each.tensor, f"{each.error:.2g}", "diverges" if each.diverges else "") for each in compared
    ]
    columns = ("tensor", "relative error", "")
    print_table(f"{name} against float: {where}", columns, rows, columns[1:2])


def _require(result: Verification, explicit: bool) -> None:
    """Exit code 1 where something does not hold; a variant that was asked for must open."""
    if result.failed:
        raise CheckFailedError(f"Verification failed for {', '.join(result.failed)}.")
    if explicit and result.not_opened:
        name, reason = next(iter(result.not_opened.items()))
        raise InputError(f"'{name}' could not be verified here: {reason}")
    if not result.comparisons:
        raise CheckFailedError("No variant could be opened here, so nothing was verified.")
