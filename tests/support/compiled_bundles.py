"""A bundle with every quantized form, made in a moment, and a GPU that is not there."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import onnx
import onnx_ir as ir
import pytest
from msgspec.structs import replace

from edgevit.bundle.bundle import Bundle, Variant, variant_file
from edgevit.bundle.compiled import Built, Wanted, ensure
from edgevit.bundle.edit import edit, seal
from edgevit.bundle.trust import trust
from edgevit.bundle.variant_names import HALF_VARIANT, int8_variant
from edgevit.common import tensorrt_library
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_export.passes.widen_weights import widen_weights
from edgevit_export.quantize.half import to_half
from edgevit_export.quantize.observe import observe_products
from edgevit_export.quantize.ranges import METHODS
from edgevit_export.quantize.schemes import SCHEMES, quantized
from edgevit_runtimes.backends.cuda import Cuda
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from edgevit_runtimes.devices import facts
from edgevit_runtimes.devices.target import this_target
from support.machines.fake_tensorrt import GOOD_ENGINE, FakeCuda, FakeEngine, fake_tensorrt
from support.zoo import float_copy

ON_ORIN = {
    "runtime": "tensorrt 10.3.0",
    "compute capability": "8.7",
    "gpu": "Orin",
    "driver": "CUDA 12.6",
}


def with_all_forms(target: Path) -> Path:
    """The shipped bundle with INT8 for four runtimes and FP16, calibrated on its reference."""
    bundle = Bundle.open(float_copy(target))
    model = ir.load(bundle.variant())
    widen_weights(model)
    pictures = bundle.reference().images
    seen = observe_products(model, pictures, OnnxRuntimeRunner)
    ranges = {name: METHODS["minmax"](found) for name, found in seen.items()}
    forms = {
        int8_variant(name): (quantized(model, SCHEMES[name], ranges), SCHEMES[name].runtime, name)
        for name in (this_target(), "openvino", "tensorrt", "native")
    }
    forms[HALF_VARIANT] = (to_half(model, pictures, OnnxRuntimeRunner).model, "onnxruntime", "gpu")
    variants = dict(bundle.manifest.variants)
    for name, (_, runtime, kind) in forms.items():
        precision = "float16" if name == HALF_VARIANT else "int8"
        variants[name] = Variant(variant_file(name), precision, precision, runtime, kind)

    with edit(bundle) as draft:
        for name, (form, _, _) in forms.items():
            draft.write(variant_file(name), partial(ir.save, form))
            draft.put(name, variants[name])
    return draft.bundle.path


def with_variant(
    folder: Path, name: str, model: onnx.ModelProto, runtime: str = "onnxruntime"
) -> Path:
    """The prebuilt bundle with one more variant."""
    path = float_copy(folder / "mine.edgevit")
    manifest = Bundle.open(path).manifest
    onnx.save(model, path / variant_file(name))
    variant = Variant(variant_file(name), "float32", "float32", runtime)
    seal(path, replace(manifest, variants={**manifest.variants, name: variant}))
    trust(Bundle.open(path).manifest_sha256)
    return path


def float_model() -> onnx.ModelProto:
    return onnx.load(Bundle.open(PREBUILT_BUNDLE).variant())


def with_engine(path: Path, built_for: dict[str, str] = ON_ORIN) -> Bundle:
    """A bundle with the stand-in's engine, as if it had been built on a Jetson."""
    wanted = Wanted("tensorrt-fp32", "float", "tensorrt", "fp32", "engine", built_for)
    bundle, _ = ensure(Bundle.open(path), wanted, lambda _: Built(GOOD_ENGINE))
    return bundle


def pretend_orin(monkeypatch: pytest.MonkeyPatch, bundle: Bundle) -> FakeCuda:
    """This machine has an Orin and TensorRT 10.3; its engine is computed by ONNX Runtime."""
    fake_cuda = FakeCuda()
    reference = OnnxRuntimeRunner(bundle.variant())
    inputs, outputs = (
        {spec.name: (spec.shape, spec.dtype) for spec in specs}
        for specs in (bundle.manifest.inputs, bundle.manifest.outputs)
    )
    engine = FakeEngine(fake_cuda, inputs, outputs, reference.infer)
    library = fake_tensorrt(engine)
    monkeypatch.setattr(Cuda, "open", classmethod(lambda _: Cuda(fake_cuda)))
    for module in (facts, tensorrt_library):
        monkeypatch.setattr(module, "find_tensorrt", lambda *_: library)
    monkeypatch.setattr(
        Cuda, "gpu", lambda _: SimpleNamespace(name="Orin", capability="8.7", driver="CUDA 12.6")
    )
    return fake_cuda
