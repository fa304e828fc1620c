"""The papers' claims, tested under one recipe: one table, one plot, a verdict for each.

    python benchmarks/claims.py DATA --epochs 3 --teacher efficientnet_lite0

Trains every model of ``claim_models.py`` at 128 pixels from random weights, exports it, and
measures what was exported. DATA holds train/ and val/. What is done is kept under --output
(default out/claims) and is not done again: stop it and start it again as you like. Training may
share the machine; with --train-only the timings, which may not, are left for another call.
Latency: ONNX Runtime, fp32, one core, interleaved with the plain ViT in blocks of 50.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from claim.claim_models import (
    BASELINE,
    CONTENDERS,
    FULL_BASELINE,
    FULL_LIGHT,
    Contender,
    find_contender,
)
from claim.claim_verdicts import draw_front, verdicts
from claim.markdown_table import markdown_table
from edgevit.bundle.bundle import Bundle
from edgevit.common.console import print_json, print_table, write_json
from edgevit.common.errors import EdgevitError, InputError
from edgevit.common.progress import Progress, progress_for_stderr
from edgevit.common.storage.files import write_atomically
from edgevit.images import image_io
from edgevit.images.image_folder import ImageFolder
from edgevit.models.count import count_spec
from edgevit.training.hardware import prepare
from edgevit.training.loop import TrainingJob, train
from edgevit.training.recipe import Recipe
from edgevit.training.state import STATE_FILE
from edgevit.workflows.teacher_bundle import open_teacher
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.registry import ModelEntry
from edgevit_export.convert.export_pipeline import ExportRequest, export_bundle
from edgevit_runtimes.backends.classifier import BundleClassifier
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from edgevit_runtimes.bench import measure
from edgevit_runtimes.bench.bench_options import BenchOptions
from edgevit_runtimes.bench.interleave import interleave, pin_to_one_core
from edgevit_runtimes.devices import x86
from edgevit_runtimes.selection.evaluate import evaluate
from latency import BLOCK, DISCARD, ROUNDS, inference
from training_cost import measure as training_cost


def main() -> None:
    arguments = _arguments()
    progress = progress_for_stderr()
    chosen = [c for c in CONTENDERS if not arguments.only or c.key in arguments.only]
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    rows = [_trained(contender, arguments, progress) for contender in chosen]
    if arguments.train_only:
        return
    full_size = [
        _untrained(find_contender(key), output, progress) for key in (FULL_BASELINE, FULL_LIGHT)
    ]
    for row in rows + full_size:
        file = output / f"{row['key']}.cost.json"
        row.update(_kept(file, partial(_cost, row["key"], output, progress)))
    _add_latency(rows, BASELINE, output)
    _add_latency(full_size, FULL_BASELINE, output)
    content = {
        "rows": rows,
        "full_size": full_size,
        "verdicts": verdicts(rows, full_size),
        "conditions": {
            "processor": x86.describe().processor,
            "epochs": arguments.epochs,
            "pixels": CONTENDERS[0].spec.image_px,
            "teacher": arguments.teacher,
            "seed": arguments.seed,
        },
    }
    write_json(output / "claims.json", content)
    draw_front(rows, output / "claims.svg")
    text = _markdown(content)
    write_atomically(output / "claims.md", lambda aside: aside.write_text(text, encoding="utf-8"))
    if arguments.json:
        print_json(content)
    else:
        _print(content)


def _trained(
    contender: Contender, arguments: argparse.Namespace, progress: Progress
) -> dict[str, Any]:
    """What does not depend on this machine, from the file of a former call where there is one."""
    asked = {
        "epochs": contender.longer * arguments.epochs,
        "recipe": _plain_recipe(contender, arguments),
        "seed": arguments.seed,
        "teacher": arguments.teacher,
        "images": _images(arguments.data / "train").fingerprint,
    }
    file = arguments.output / f"{contender.key}.json"
    row = _kept(file, lambda: _train_and_answer(contender, asked, arguments, progress))
    if row["asked"] != asked:
        raise InputError(
            f"{file} was made with {row['asked']}, and now {asked} is asked for. Give another "
            "--output, or delete it."
        )
    return row


def _plain_recipe(contender: Contender, arguments: argparse.Namespace) -> dict[str, Any]:
    """Without a teacher there is nothing to be guided by."""
    without = () if arguments.teacher else ("guidance",)
    return {name: value for name, value in contender.recipe.items() if name not in without}


@cache
def _images(folder: Path) -> ImageFolder:
    """Opened once for all models: its fingerprint reads every file."""
    return ImageFolder.open(folder)


def _kept(file: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The content of a JSON file, which is made where it is missing."""
    if not file.is_file():
        write_json(file, make())
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def _train_and_answer(
    contender: Contender, asked: dict[str, Any], arguments: argparse.Namespace, progress: Progress
) -> dict[str, Any]:
    progress.line(f"== {contender.label}")
    weights = _train(contender, asked, arguments, progress)
    bundle = _export(contender, weights, arguments.output, progress)
    with BundleClassifier(bundle, threads=len(os.sched_getaffinity(0))) as classifier:
        folder = _images(arguments.data / "val")
        accuracy = evaluate(classifier, folder, progress).accuracy
    return {
        **_facts(contender),
        "asked": asked,
        "epochs": asked["epochs"],
        "top1": accuracy.top1.to_json(),
    }


def _facts(contender: Contender) -> dict[str, Any]:
    size = count_spec(contender.spec)
    return {
        "key": contender.key,
        "model": contender.label,
        "family": contender.family,
        "parameters": size.parameters,
        "macs": size.macs,
    }


def _untrained(contender: Contender, output: Path, progress: Progress) -> dict[str, Any]:
    """A model whose cost is told, not its accuracy."""
    if not (output / f"{contender.key}.edgevit").is_dir():
        _export(contender, None, output, progress)
    return {**_facts(contender), "model": f"{contender.label}, {contender.spec.image_px} px"}


def _cost(key: str, output: Path, progress: Progress) -> dict[str, Any]:
    progress.line(f"== the cost of {key}")
    cost = training_cost(key, "--threads", str(len(os.sched_getaffinity(0))))
    memory = measure.peak_memory(Bundle.open(output / f"{key}.edgevit"), BenchOptions())
    return {
        "train_epoch_s": cost["epoch_s"],
        "train_activation_mib": cost["activation_mib"],
        "peak_memory_mib": memory["steady"],
    }


def _train(
    contender: Contender, asked: dict[str, Any], arguments: argparse.Namespace, progress: Progress
) -> Path:
    device, threads = prepare("auto", None)
    recipe = Recipe(epochs=asked["epochs"], seed=asked["seed"], **asked["recipe"])
    run = arguments.output / f"run_{contender.key}"
    with open_teacher(arguments.teacher, threads, progress) as teacher:
        job = TrainingJob(
            contender.spec,
            _images(arguments.data / "train"),
            _images(arguments.data / "val"),
            recipe,
            run,
            device,
            threads,
            teacher,
        )
        return train(job, progress, resume=(run / STATE_FILE).is_file()).weights


def _export(contender: Contender, weights: Path | None, output: Path, progress: Progress) -> Bundle:
    photos = Bundle.open(PREBUILT_BUNDLE).reference().images
    request = ExportRequest(
        entry=ModelEntry(contender.spec, contender.label),
        output=output / f"{contender.key}.edgevit",
        pictures=image_io.batch(photos, Preprocess(contender.spec.image_px)),
        checkpoint=weights,
        force=True,
    )
    return export_bundle(request, OnnxRuntimeRunner, progress)


def _add_latency(rows: list[dict[str, Any]], baseline: str, output: Path) -> None:
    """One model at a time against the baseline, so that no more than two share the caches."""
    affinity = os.sched_getaffinity(0)
    pin_to_one_core()
    runners = {row["key"]: Bundle.open(output / f"{row['key']}.edgevit") for row in rows}
    if baseline not in runners:
        raise InputError(f"Latency is told against '{baseline}'; add it to --only.")
    for row in rows:
        functions = [inference(runners[baseline]), inference(runners[row["key"]])]
        times = interleave(functions, BLOCK, ROUNDS, DISCARD)
        row["latency_ms_p50"] = round(times.median_ms(1), 4)
        row["latency_samples"] = times.samples
        row["times_faster_than_ruler"] = round(times.ratio(0, 1)[0], 3)
    os.sched_setaffinity(0, affinity)


_COLUMNS = (
    "model",
    "M params",
    "G MACs",
    "s an epoch",
    "activations MiB",
    "latency ms",
    "times faster",
    "memory MiB",
    "epochs",
    "top-1 %",
)
_VERDICT_COLUMNS = ("the papers say", "measured here", "verdict")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    """A model's line of the table, by ``_COLUMNS``."""
    return (
        row["model"],
        f"{row['parameters'] / 1e6:.2f}",
        f"{row['macs'] / 1e9:.3f}",
        f"{row['train_epoch_s']:.1f}",
        f"{row['train_activation_mib']:.0f}",
        f"{row['latency_ms_p50']:.2f}",
        f"{row['times_faster_than_ruler']:.1f}",
        f"{row['peak_memory_mib']:.0f}",
        str(row.get("epochs", "")),
        _top1(row["top1"]) if "top1" in row else "not trained here",
    )


def _top1(share: dict[str, Any]) -> str:
    low, high = (100 * edge for edge in share["interval_95"])
    return f"{100 * share['share']:.1f} ({low:.1f} to {high:.1f})"


def _conditions(content: dict[str, Any]) -> str:
    conditions = content["conditions"]
    return (
        f"{conditions['pixels']} px, seed {conditions['seed']}, teacher {conditions['teacher']}, "
        f"{conditions['processor']}; training on all cores, latency on one"
    )


def _print(content: dict[str, Any]) -> None:
    rows = [_cells(row) for row in content["rows"] + content["full_size"]]
    print_table(_conditions(content), _COLUMNS, rows, numeric=_COLUMNS[1:-1])
    claims = [(v["claim"], v["measured"], v["verdict"]) for v in content["verdicts"]]
    print_table("verdicts", _VERDICT_COLUMNS, claims)


def _markdown(content: dict[str, Any]) -> str:
    """The same two tables for a document."""
    claims = [(v["claim"], v["measured"], f"**{v['verdict']}**") for v in content["verdicts"]]
    tables = (
        (_COLUMNS, map(_cells, content["rows"] + content["full_size"])),
        (_VERDICT_COLUMNS, claims),
    )
    lines = [f"{_conditions(content)}."]
    for columns, rows in tables:
        lines += ["", *markdown_table(columns, rows)]
    return "\n".join(lines) + "\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="a folder with train/ and val/")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--teacher", help="as in 'edgevit train'")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", help="names of claim_models.py")
    parser.add_argument("--output", type=Path, default=Path("out/claims"))
    parser.add_argument("--train-only", action="store_true", help="no timings, no table")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except EdgevitError as error:
        raise SystemExit(f"error: {error}") from error
