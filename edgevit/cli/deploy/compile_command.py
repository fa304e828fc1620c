"""``edgevit compile``: what a runtime loads fastest, and which is the fastest that is right."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgevit.cli.deploy.compiling import (
    Precision,
    Provider,
    Request,
    Target,
    Work,
    candidates,
    compile_fastest,
    compile_variant,
)
from edgevit.cli.options import JsonOption, ThreadsOption
from edgevit.common.errors import InputError

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle, MachineChoice
    from edgevit.bundle.compiled import Outcome
    from edgevit.inference.agreement import EvalSet


def compile_bundle(
    bundle: Annotated[Path, typer.Argument(help="A bundle folder; the variant is added to it.")],
    target: Annotated[Target, typer.Option(help="A runtime, or auto: the fastest that is right.")],
    precision: Annotated[
        Precision | None, typer.Option(help="Default: fp32; with auto: all that there are.")
    ] = None,
    capability: Annotated[
        str | None,
        typer.Option(help="TensorRT: build ahead of time for 8.0, 8.6, 8.9 or 12.0; needs no GPU."),
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(help="TensorRT, dynamic batch: LOW:TUNED:HIGH. Default: 1:1:8."),
    ] = None,
    cuda_graph: Annotated[
        bool, typer.Option(help="TensorRT: replay the engine as a CUDA graph.")
    ] = True,
    provider: Annotated[
        Provider, typer.Option(help="ONNX Runtime: what runs the nodes.")
    ] = Provider.cpu,
    allow_fallback: Annotated[
        bool,
        typer.Option("--allow-fallback", help="Nodes that the provider does not take run on CPU."),
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option(help="Pictures to compare answers on. Default: the bundle's own eight."),
    ] = None,
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help="auto: keep what was not chosen too.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Compile even what is fresh.")] = False,
    threads: ThreadsOption = 1,
    json: JsonOption = False,
) -> None:
    """Compile a bundle for a runtime and this machine, or find the fastest form that is right."""
    from edgevit.bundle.bundle import Bundle
    from edgevit.common.progress import progress_for_stderr

    opened = Bundle.open(bundle if bundle.is_symlink() else bundle.resolve())
    request = Request(
        target, precision or Precision.fp32, capability, provider, allow_fallback, batch, cuda_graph
    )
    _refuse_odd(request)
    work = Work(_eval_set(opened, images), force, threads, progress_for_stderr())
    if target is Target.auto:
        requests = [r for r in candidates() if precision in (None, r.precision)]
        opened, choice = compile_fastest(opened, requests, work, keep_all)
        _print_choice(opened, choice, json)
    else:
        opened, outcome = compile_variant(opened, request, work)
        _print_outcome(opened, outcome, json)


def _refuse_odd(request: Request) -> None:
    """Options that the target has no use for."""
    if request.target is not Target.tensorrt and (request.capability or request.batch):
        option = "--capability" if request.capability else "--batch"
        raise InputError(f"{option} is for --target tensorrt; got --target {request.target.value}.")
    if request.precision is Precision.bf16 and request.target not in (
        Target.openvino,
        Target.auto,
    ):
        raise InputError("--precision bf16 is for --target openvino; others have fp16.")
    placed = request.provider is not Provider.cpu or request.allow_fallback
    if placed and request.target is not Target.onnxruntime:
        raise InputError(
            "--provider and --allow-fallback are for --target onnxruntime; got --target "
            f"{request.target.value}."
        )


def _eval_set(bundle: Bundle, images: Path | None) -> EvalSet:
    from edgevit_runtimes.selection.agreement import float_set, reference_set

    if images is None:
        return reference_set(bundle)
    from edgevit.images import image_io as pictures

    files = pictures.files_in(images) if images.is_dir() else [images]
    read = (pictures.read(file) for file in files)
    return float_set(bundle, pictures.batch(read, bundle.manifest.preprocess))


# Output ------------------------------------------------------------------------------------------


def _print_outcome(bundle: Bundle, outcome: Outcome, as_json: bool) -> None:
    from dataclasses import asdict

    from edgevit.common.console import print_json, print_line, print_table

    variant = bundle.manifest.variants[outcome.name]
    size = bundle.manifest.files[variant.file].bytes
    if as_json:
        content = {"bundle": str(bundle.path), "variant": outcome.name, "bytes": size}
        print_json({**content, "reasons": list(outcome.reasons), **asdict(variant)})
        return
    build = variant.build
    facts: dict[str, Any] = dict(build.facts) if build else {}
    agreed = facts.get("agreement")
    rows = [
        ("file", f"{variant.file}, {size / 2**20:.1f} MiB"),
        ("from", build.source if build else "-"),
        ("opens where", _listed(build.built_for) if build else "-"),
        ("options", _listed(build.options) if build else "-"),
        ("compiled", f"in {facts.get('seconds', 0):g} s"),
        ("agreement", _agreement(agreed)),
    ]
    print_table(f"{bundle.path}: {outcome.name}", ("", ""), rows)
    told = "; ".join(outcome.reasons)
    print_line(f"compiled: {told}" if told else "kept: nothing that it depends on has changed")


def _listed(facts: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items()) or "anywhere"


def _agreement(found: Any) -> str:
    if found is None:
        return "not measured: it does not run on this machine"
    return (
        f"top class agrees on {found['top1_agrees']} of {found['images']}, largest logit "
        f"difference {found['max_difference']:.2g}"
    )


def _print_choice(bundle: Bundle, choice: MachineChoice, as_json: bool) -> None:
    from dataclasses import asdict

    from edgevit.common.console import print_json, print_line, print_table

    if as_json:
        print_json({"bundle": str(bundle.path), **asdict(choice)})
        return
    columns = ("variant", "ms", "x plain fp32", "top-1 agrees", "verdict")
    rows = [_row(row) for row in choice.table]
    print_table(f"{bundle.path}, {choice.threads} threads", columns, rows, numeric=columns[1:3])
    print_line(f"chosen for this machine: {choice.variant}")
    for reason in dict.fromkeys(r for row in choice.table for r in row.get("disturbances", [])):
        print_line(f"DISTURBED: {reason}. Choose again on an idle machine.")


def _first_sentence(text: str) -> str:
    """The table says what is wrong; --json also says how to mend it."""
    return text.partition(". ")[0]


def _row(row: Any) -> tuple[str, ...]:
    if "times_faster" not in row:
        return row["variant"], "-", "-", "-", f"not measured: {_first_sentence(row['reason'])}"
    verdict = "chosen" if row["chosen"] else row["reason"] or "passes"
    return (
        row["variant"],
        f"{row['latency_ms_p50']:.2f}",
        f"{row['times_faster']:.2f}",
        f"{row['top1_agrees']} of {row['images']}",
        verdict,
    )
