"""``model.onnx`` of a bundle, with the right hash: what every command does with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import EdgevitError
from edgevit.common.progress import SilentProgress
from edgevit.images import image_io
from edgevit.inference.calibration import Pictures
from edgevit.zoo import PREBUILT_BUNDLE
from support.fuzzing.mutations import Rng, changed_file, changed_message, one_of
from support.fuzzing.sandbox import Subject
from support.fuzzing.small_bundle import put_file, small_bundle, small_model

Operation = Callable[[Bundle], object]
_RUNS = 2


def subjects(scratch: Path, seed: int) -> list[Subject]:
    """One for each of what is done with a model file."""
    bundle = small_bundle(scratch / "small.edgevit").path
    (scratch / "pictures").mkdir()
    for number, picture in enumerate(np.random.default_rng(0).integers(0, 256, (8, 9, 9, 3))):
        image_io.write(scratch / "pictures" / f"{number}.png", picture.astype(np.uint8))
    seeds = [small_model().SerializeToString(), small_model(quantized=True).SerializeToString()]
    seeds.append((PREBUILT_BUNDLE / "superpixels.onnx").read_bytes())

    def make(number: int) -> bytes:
        return changed_model(seeds, np.random.default_rng([seed, number]))

    def reader(operation: Operation) -> Callable[[bytes], None]:
        def read(content: bytes) -> None:
            put_file(bundle, "model.onnx", content)
            try:
                operation(Bundle.open(bundle))
            finally:
                assert_readable(bundle)

        return read

    return [
        Subject(f"model.onnx, {name}", make, reader(operation), _warm)
        for name, operation in OPERATIONS.items()
    ]


def assert_readable(bundle: Path) -> None:
    """Whatever was done with a model, its bundle is one afterwards."""
    try:
        Bundle.open(bundle)
    except EdgevitError as error:
        raise AssertionError(f"the bundle was lost: {error}") from error


def changed_model(seeds: Sequence[bytes], rng: Rng) -> bytes:
    """A model with fields, bytes, or the whole of its second half changed."""
    content: bytes = one_of(seeds[:2] if rng.random() < 0.9 else seeds, rng)
    if rng.random() < 0.4:
        return changed_file(content, seeds, rng)
    model = onnx.load_from_string(content)
    changed_message(model, rng)
    return bytes(model.SerializeToString())


def _warm() -> None:
    import edgevit_export.inspect.expose
    import edgevit_export.inspect.work
    import edgevit_export.quantize.quantize_pipeline
    import edgevit_runtimes.selection.profile
    import edgevit_runtimes.selection.verify

    del edgevit_export, edgevit_runtimes


def _verify(bundle: Bundle) -> None:
    from edgevit.workflows.verify import verify

    result = verify(bundle, variants=["float"])
    json.dumps(result.to_dict(), allow_nan=False)
    result.sections()
    result.require()


def _inspect(bundle: Bundle) -> None:
    from edgevit.workflows.inspect import inspect
    from edgevit_export.inspect.work import product_work

    result = inspect(bundle, layers=True)
    json.dumps(result.to_dict(), allow_nan=False)
    result.sections()
    product_work(bundle)


def _expose(bundle: Bundle) -> None:
    from edgevit_export.inspect.expose import exposed, inner_tensors
    from edgevit_runtimes.backends.open_model import open_variant

    tensors = [spec.name for spec in inner_tensors(bundle, "float")]
    with exposed(bundle, "float", tensors[:5]) as opened:
        open_variant(opened, "float").close()


def _profile(bundle: Bundle) -> None:
    from edgevit_runtimes.selection.profile import profile

    profiled = profile(bundle, "float", _RUNS, 1, SilentProgress())
    profiled.by_group()
    profiled.by_op()


def _compile(bundle: Bundle) -> None:
    from edgevit.workflows.compile import compile_bundle

    compile_bundle(bundle, "onnxruntime", force=True)


def _compile_openvino(bundle: Bundle) -> None:
    from edgevit.workflows.compile import compile_bundle

    compile_bundle(bundle, "openvino", force=True)


def _quantize(bundle: Bundle) -> None:
    from edgevit_export.quantize.quantize_pipeline import quantize_bundle
    from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
    from support.quantize_requests import quantize_request

    files = tuple(sorted((bundle.path.parent / "pictures").iterdir()))
    pictures = Pictures(files, bundle.manifest.preprocess)
    request = quantize_request(
        bundle, pictures, "onnxruntime-x86", max_drop=100.0, replace_variants=True
    )
    quantize_bundle(request, {"onnxruntime": OnnxRuntimeRunner}, SilentProgress())


def _answer(bundle: Bundle) -> None:
    from edgevit_runtimes.backends.classifier import BundleClassifier

    with BundleClassifier(bundle, "float") as classifier:
        classifier.answer(list(bundle.reference().images), 2)


OPERATIONS: dict[str, Operation] = {
    "inspect": _inspect,
    "run": _answer,
    "verify": _verify,
    "expose": _expose,
    "profile": _profile,
    "quantize": _quantize,
    "compile": _compile,
    "compile for OpenVINO": _compile_openvino,
}
