"""The bundle that the package ships, from the weights that it ships: make prebuilt VAL=FOLDER.

It holds the float model and, with labelled pictures, its INT8 form for the native engine, which is
used wherever that engine is installed. Half of the pictures calibrate, the others measure the
accuracy, which stays in the manifest. The Q/DQ model in between is not shipped.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from msgspec.structs import replace

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import edit
from edgevit.common.errors import CheckFailedError
from edgevit.common.progress import Progress, progress_for_stderr
from edgevit.workflows.compile import compile_bundle
from edgevit.workflows.evaluate import evaluate
from edgevit.workflows.export import export
from edgevit.workflows.quantize import quantize
from edgevit.zoo import DEFAULT_MODEL, PREBUILT_BUNDLE
from edgevit_runtimes.devices.target import NATIVE_TARGET

MAX_DROP_POINTS = 0.3
_COMPILED = "native-int8"
_FORM = "onnx-int8-native"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="photographs for the parity check")
    parser.add_argument("--val", type=Path, help="labelled pictures, a folder for each class")
    parser.add_argument("--output", type=Path, default=PREBUILT_BUNDLE)
    given = parser.parse_args()
    progress = progress_for_stderr()
    bundle = export(
        DEFAULT_MODEL,
        given.output,
        parity_images=given.photos,
        half_storage=True,
        force=True,
        progress=progress,
    ).bundle
    if given.val is not None:
        bundle = with_native_form(bundle, given.val, progress)
        print(evaluate(bundle, given.val, calibrate=True, progress=progress))


def with_native_form(bundle: Bundle, labelled: Path, progress: Progress) -> Bundle:
    """The bundle with the compiled INT8 form, chosen where the native engine is.

    Raises:
        CheckFailedError: it loses more than :data:`MAX_DROP_POINTS` of top-1.
    """
    bundle = quantize(
        bundle, labelled, targets=[NATIVE_TARGET], max_drop=MAX_DROP_POINTS, progress=progress
    ).bundle
    report = bundle.manifest.variants[_FORM].report
    if not report["holds"]:
        raise CheckFailedError(f"INT8 loses {report['drop_points']} points; it is not shipped.")
    bundle = compile_bundle(bundle, NATIVE_TARGET, precision="int8", progress=progress).bundle
    with edit(bundle) as draft:
        compiled = replace(draft.manifest.variants[_COMPILED], report=report)
        draft.put(_COMPILED, compiled)
        draft.drop(set(draft.manifest.variants) - {"float", _COMPILED})
        draft.choose(NATIVE_TARGET, _COMPILED)
    return draft.bundle


if __name__ == "__main__":
    main()
