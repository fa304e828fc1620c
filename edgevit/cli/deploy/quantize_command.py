"""``edgevit quantize``: INT8 variants that keep their accuracy, and whether they pay."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.cli.options import JsonOption, ThreadsOption, check_picture, require_modules
from edgevit.common.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgevit.bundle.bundle import Bundle
    from edgevit.images.image_folder import ImageFolder
    from edgevit.inference.calibration import Pictures
    from edgevit.inference.runner import OpenRunner
    from edgevit_export.quantize.search import Found
    from edgevit_runtimes.selection.verdict import Verdict

_MODULES = ("onnx", "onnx_ir")
ALL = "all"


def quantize(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder; variants are added to it.")],
    data: Annotated[Path, typer.Option(help="Images to calibrate with, one folder a class.")],
    eval_data: Annotated[
        Path | None,
        typer.Option(help="Other images, to measure accuracy on. Default: half of --data."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="onnxruntime-x86, onnxruntime-x86-avx2, onnxruntime-arm, openvino, "
            "tensorrt or all; may be repeated. Default: this machine's, and tensorrt."
        ),
    ] = None,
    images: Annotated[int, typer.Option(min=8, help="How many images calibrate.")] = 256,
    max_drop: Annotated[float, typer.Option(min=0, help="Points of top-1 that may be lost.")] = 0.5,
    calibration: Annotated[
        str, typer.Option(help="minmax, percentile, entropy, mse, or auto for the best of them.")
    ] = "auto",
    plot: Annotated[
        Path | None, typer.Option(help="Draw accuracy against layers kept in float: .png, .svg.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace variants it has.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice of images.")] = 0,
    threads: ThreadsOption = 1,
    json: JsonOption = False,
) -> None:
    """Add INT8 and FP16 variants to a bundle: their accuracy, and whether to use them."""
    require_modules("edgevit quantize", "export", _MODULES)
    from edgevit.bundle.bundle import Bundle
    from edgevit.common.progress import progress_for_stderr
    from edgevit_export.quantize.quantize_pipeline import QuantizeRequest, quantize_bundle
    from edgevit_runtimes.devices.target import this_target

    opened = Bundle.open(bundle if bundle.is_symlink() else bundle.resolve())
    targets = _targets(target, this_target())
    _check(calibration)
    check_picture("--plot", plot)
    calibrating, evaluation, labels = _pictures(opened, data, eval_data, images, seed)
    request = QuantizeRequest(
        bundle=opened,
        targets=targets,
        measured=_targets_here(),
        alternatives_for=this_target() if this_target() in targets else None,
        calibrating=calibrating,
        evaluation=evaluation,
        labels=labels,
        max_drop=max_drop,
        method=calibration,
        seed=seed,
        replace_variants=force,
    )
    opened, found = quantize_bundle(request, _runners(threads), progress_for_stderr())
    opened, verdicts = _verdicts(opened, targets)
    if plot is not None:
        _draw(found, plot)
    _print(opened, verdicts, json)


def _targets_here() -> frozenset[str]:
    """What this machine runs."""
    from edgevit_runtimes.devices.target import this_target

    return frozenset({this_target(), *(["openvino"] if find_spec("openvino") else [])})


def _runners(threads: int) -> dict[str, OpenRunner]:
    from edgevit_runtimes.backends.open_model import open_model

    runtimes = ["onnxruntime", *(["openvino"] if find_spec("openvino") else [])]
    return {name: partial(open_model, runtime=name, threads=threads) for name in runtimes}


def _pictures(
    bundle: Bundle, data: Path, eval_data: Path | None, count: int, seed: int
) -> tuple[Pictures, Pictures, NDArray[np.int64]]:
    """(to calibrate, to evaluate, labels of these among the bundle's classes)."""
    import numpy as np

    from edgevit.inference.calibration import Pictures, balanced
    from edgevit_runtimes.selection.evaluate import places_of

    calibrating, evaluation = _folders(data, eval_data, seed)
    labels = places_of(evaluation.classes, bundle)[np.asarray(evaluation.labels)]
    preprocess = bundle.manifest.preprocess
    chosen = calibrating.part(balanced(calibrating, count, seed))
    return (
        Pictures(chosen.files, preprocess),
        Pictures(evaluation.files, preprocess),
        labels,
    )


def _verdicts(bundle: Bundle, targets: tuple[str, ...]) -> tuple[Bundle, list[Verdict]]:
    """Measures what this machine runs, and takes the others by their accuracy alone."""
    from edgevit_export.quantize.quantize_pipeline import variant_of
    from edgevit_runtimes.selection.choose import choose_form
    from edgevit_runtimes.selection.verdict import verdict_on

    verdicts = []
    for target in targets:
        if target in _targets_here():
            bundle, verdict = choose_form(bundle, target)
        else:
            name = variant_of(target)
            verdict = verdict_on(bundle, name, bundle.manifest.variants[name])
        verdicts.append(verdict)
    return bundle, verdicts


def _targets(asked: list[str] | None, here: str) -> tuple[str, ...]:
    from edgevit_export.quantize.schemes import SCHEMES

    known = [name for name, scheme in SCHEMES.items() if scheme.is_target]
    if asked is None:
        return (here, "tensorrt")
    if asked == [ALL]:
        return tuple(known)
    if odd := [name for name in asked if name not in known]:
        raise InputError(f"Unknown target '{odd[0]}'; known are {', '.join(known)} and {ALL}.")
    return tuple(dict.fromkeys(asked))


def _check(calibration: str) -> None:
    from edgevit_export.quantize.ranges import METHODS
    from edgevit_export.quantize.search import AUTO

    if calibration not in (*METHODS, AUTO):
        raise InputError(f"--calibration is {', '.join(METHODS)} or {AUTO}; got '{calibration}'.")


def _folders(data: Path, eval_data: Path | None, seed: int) -> tuple[ImageFolder, ImageFolder]:
    from edgevit.images.image_folder import ImageFolder
    from edgevit.inference.calibration import refuse_overlap, split_for_gate

    calibrating = ImageFolder.open(data)
    if eval_data is None:
        typer.echo(
            f"no --eval-data given: half of {data} measures accuracy, the other calibrates",
            err=True,
        )
        return split_for_gate(calibrating, seed)
    evaluation = ImageFolder.open(eval_data)
    refuse_overlap(calibrating, evaluation)
    return calibrating, evaluation


def _draw(found: Mapping[str, Found], target: Path) -> None:
    from edgevit.results.plots import draw_trade_off

    draws = {
        name: [(len(a.keep_float), a.drop.points, a.drop.interval) for a in result.attempts]
        for name, result in found.items()
    }
    draw_trade_off(draws, target)


def _print(bundle: Bundle, verdicts: list[Verdict], as_json: bool) -> None:
    import dataclasses

    from edgevit.cli.deploy.inspect_command import print_variants
    from edgevit.common.console import print_json, print_line

    if as_json:
        print_json(
            {
                "bundle": str(bundle.path),
                "chosen": dict(bundle.manifest.chosen),
                "verdicts": [dataclasses.asdict(verdict) for verdict in verdicts],
                "variants": {
                    name: dataclasses.asdict(variant)
                    for name, variant in bundle.manifest.variants.items()
                },
            }
        )
        return
    print_variants(str(bundle.path), bundle)
    for verdict in verdicts:
        print_line(verdict.text)
