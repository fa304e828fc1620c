"""ONNX Runtime against torch on real images: superpixel memberships, logits, top class.

    python benchmarks/parity.py IMAGES [--model lla_tiny] [--count 200]

Three comparisons: one picture at a time; batches of 8; and batches of 8 against single pictures,
both in ONNX Runtime. Exit code 1 if one does not hold (limits in edgevit/inference/agreement.py).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgevit.common.console import print_table
from edgevit.images import image_files, image_io
from edgevit.inference.agreement import EXPORT_LIMITS, LogitAgreement, compare
from edgevit.inference.batches import infer_all
from edgevit.inference.runner import Array
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.registry import find
from edgevit_export.convert.simplify import simplify
from edgevit_export.convert.torch_runner import TorchRunner
from edgevit_export.convert.trace import trace
from edgevit_export.convert.weights import load_model
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner


def main() -> None:
    arguments = _arguments()
    model = load_model(find(arguments.model))
    pictures = _pictures(arguments.images, arguments.count, model.module.spec.image_px)
    expected = infer_all(TorchRunner(model.module), pictures)
    answers: dict[int, dict[str, Array]] = {}
    for batch in (1, 8):
        onnx_model = simplify(trace(model.module, batch)).SerializeToString()
        with OnnxRuntimeRunner(onnx_model, threads=2) as runner:
            answers[batch] = infer_all(runner, pictures)
    reports = {
        "ONNX Runtime against torch": _compared(expected, answers[1]),
        "ONNX Runtime, batches of 8, against torch": _compared(expected, answers[8]),
        "batches of 8 against single pictures": _compared(answers[1], answers[8]),
    }
    rows = [_row(name, report) for name, report in reports.items()]
    columns = (
        "comparison",
        "pictures",
        "memberships match",
        "top class agrees",
        "max logit diff",
        "holds",
    )
    print_table(f"{arguments.model}, {model.source}", columns, rows, numeric=columns[1:-1])
    worst = reports["ONNX Runtime against torch"].max_difference
    listed = [(name, f"{difference:.2g}") for name, difference in worst.items()]
    print_table("ONNX Runtime against torch, tensor by tensor", ("tensor", "max"), listed)
    sys.exit(any(report.failures() for report in reports.values()))


def _compared(expected: Mapping[str, Array], got: Mapping[str, Array]) -> LogitAgreement:
    found = compare(expected, got, EXPORT_LIMITS)
    if not isinstance(found, LogitAgreement):
        raise TypeError("this table is of classifiers; see 'edgevit verify' for other tasks")
    return found


def _row(name: str, report: LogitAgreement) -> tuple[str, ...]:
    return (
        name,
        str(report.images),
        f"{100 * report.membership_matches / report.images:.1f} %",
        f"{100 * report.top1_agrees / report.images:.1f} %",
        f"{report.max_logit_difference:.1e}",
        "no: " + "; ".join(report.failures()) if report.failures() else "yes",
    )


def _pictures(folder: Path, count: int, size_px: int) -> Array:
    files = image_files.files_in(folder)
    picks = np.unique(np.linspace(0, len(files) - 1, min(count, len(files))).round().astype(int))
    return image_io.batch((image_io.read(files[i]) for i in picks), Preprocess(size_px))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("images", type=Path, help="folder of real images")
    parser.add_argument("--model", default="lla_tiny")
    parser.add_argument("--count", type=int, default=200)
    return parser.parse_args()


if __name__ == "__main__":
    main()
