"""JSON Schemas of the documents that edgevit writes.

python -m edgevit.results.documents.json_schema docs/schemas
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

from edgevit.bundle.manifest import SCHEMA, SCHEMA_MINOR, Manifest
from edgevit.bundle.reports import AccuracyReport, CalibrationReport, CompileOptions, ParityReport
from edgevit.common.storage.files import write_atomically
from edgevit.results.bench_result import RESULT_MINOR, RESULT_SCHEMA, BenchResult
from edgevit.results.documents.saved_evaluation import SavedEvaluation

# File name, without its suffix: type, and the title.
_DOCUMENTS: dict[str, tuple[Any, str]] = {
    "bundle-manifest": (Manifest, f"manifest.json of a bundle, schema {SCHEMA}.{SCHEMA_MINOR}"),
    "bench-result": (BenchResult, f"edgevit bench --json, schema {RESULT_SCHEMA}.{RESULT_MINOR}"),
    "evaluation": (SavedEvaluation, "edgevit eval --json"),
    "parity-report": (ParityReport, "parity.* of a manifest"),
    "accuracy-report": (AccuracyReport, "variants.*.report of a manifest, of a quantized form"),
    "calibration-report": (
        CalibrationReport,
        "variants.*.report of a manifest, of a calibrated form: beside its accuracy",
    ),
    "compile-options": (CompileOptions, "variants.*.build.options of a manifest"),
}


def json_schemas() -> dict[str, str]:
    """File name to JSON Schema (draft 2020-12), as text."""
    import msgspec

    found = {}
    for name, (kind, title) in _DOCUMENTS.items():
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": title,
            **msgspec.json.schema(kind),
        }
        found[f"{name}.json"] = json.dumps(schema, indent=2) + "\n"
    return found


def write_schemas(folder: Path) -> None:
    """Writes every schema into a folder."""
    for name, text in json_schemas().items():
        write_atomically(folder / name, partial(Path.write_text, data=text))


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/schemas"))
