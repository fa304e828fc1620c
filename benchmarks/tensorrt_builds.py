"""Whether TensorRT-RTX parses and builds every model, in every precision, without a GPU.

    python benchmarks/tensorrt_builds.py --capability 8.0 8.6 8.9 12.0    # make tensorrt-builds
    python benchmarks/tensorrt_builds.py --model lla_tiny                   # one model, for 8.6
    python benchmarks/tensorrt_builds.py ... --markdown                     # docs/compile.md's

INT8 is calibrated on the sample photographs: whether a file builds does not depend on its ranges.
It says "builds", not "runs": no engine is run here.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from claim.markdown_table import markdown_table
from edgevit.bundle.bundle import Bundle
from edgevit.common.console import print_json, print_table
from edgevit.common.errors import EdgevitError
from edgevit.common.progress import SilentProgress
from edgevit.common.tensorrt_library import RTX, find_tensorrt
from edgevit.images import image_io
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.registry import MODELS
from edgevit_export.convert.export_pipeline import ExportRequest, export_bundle
from edgevit_export.engines.tensorrt import AHEAD_OF_TIME, EngineOptions, build_engine
from edgevit_export.quantize.half import to_half
from edgevit_export.quantize.observe import observe_products
from edgevit_export.quantize.ranges import minmax
from edgevit_export.quantize.schemes import SCHEMES, quantized
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner

CLASSES = 10
PRECISIONS = ("fp32", "fp16", "int8")


def main() -> None:
    arguments = _arguments()
    rows = [row for name in arguments.model for row in _rows(name, arguments.capability)]
    if arguments.json:
        print_json(rows)
    elif arguments.markdown:
        print("\n".join(_markdown(rows)))
    else:
        _print(rows)
    if any(row["error"] for row in rows):
        raise SystemExit(1)


def _rows(name: str, capabilities: list[str]) -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        for precision, file in _files(name, Path(scratch)).items():
            for capability in capabilities:
                started = time.perf_counter()
                size, was_inlined, error = 0.0, None, None
                try:
                    engine = build_engine(file.read_bytes(), EngineOptions(capability))
                    size, was_inlined = len(engine.content) / 2**20, engine.inlined
                except EdgevitError as failure:
                    error = str(failure)
                rows.append(
                    {
                        "model": name,
                        "precision": precision,
                        "capability": capability,
                        "engine_mib": round(size, 1),
                        "inlined": was_inlined,
                        "seconds": round(time.perf_counter() - started, 1),
                        "error": error,
                    }
                )
    return rows


def _files(name: str, folder: Path) -> dict[str, Path]:
    """The float, FP16 and INT8 files of a model, untrained if it has no weights."""
    entry = replace(MODELS[name], weight_sets=())
    spec = entry.spec
    photos = Bundle.open(PREBUILT_BUNDLE).reference().images[:4]
    pictures = image_io.batch(photos, Preprocess(spec.image_px))
    request = ExportRequest(entry, folder / "bundle.edgevit", pictures, classes=CLASSES)
    exported = export_bundle(request, OnnxRuntimeRunner, SilentProgress()).variant()
    model = ir.load(exported)
    half = to_half(model, pictures, OnnxRuntimeRunner).model
    observed = observe_products(model, pictures, OnnxRuntimeRunner)
    ranges = {name: minmax(seen) for name, seen in observed.items()}
    files = {"fp32": exported}
    for precision, form in (
        ("fp16", half),
        ("int8", quantized(model, SCHEMES["tensorrt"], ranges)),
    ):
        files[precision] = folder / f"{precision}.onnx"
        ir.save(form, files[precision])
    return files


def _print(rows: list[dict[str, Any]]) -> None:
    tensorrt = find_tensorrt(RTX)
    table = [
        (
            row["model"],
            row["precision"],
            row["capability"],
            row["error"] or f"{row['engine_mib']:.1f} MiB",
            f"{row['seconds']:.1f}",
        )
        for row in rows
    ]
    columns = ("model", "precision", "capability", "engine", "s")
    print_table(tensorrt.label, columns, table, numeric=("s",))


def _markdown(rows: list[dict[str, Any]]) -> list[str]:
    """A row a model, a column a precision: MiB for every capability, or what it says instead."""
    capabilities = list(dict.fromkeys(row["capability"] for row in rows))
    cells: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        cell = "fails" if row["error"] else f"{row['engine_mib']:.1f}"
        cells.setdefault((row["model"], row["precision"]), []).append(cell)
    found = [
        (f"`{model}`", *(" / ".join(cells[model, precision]) for precision in PRECISIONS))
        for model in dict.fromkeys(row["model"] for row in rows)
    ]
    table = markdown_table(("model", *PRECISIONS), found)
    return [f"MiB for {' / '.join(capabilities)}:", "", *table]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", nargs="*", default=list(MODELS), help="default: all")
    parser.add_argument("--capability", nargs="*", default=["8.6"], choices=list(AHEAD_OF_TIME))
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
