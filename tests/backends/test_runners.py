"""All runners alike: the same tensors in the same order, the same checks, the same answers.

TensorRT's engine is a stand-in that ONNX Runtime computes: what is tested is the runner around it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgevit.bundle.bundle import REFERENCE_FILE, Bundle
from edgevit.bundle.edit import edit
from edgevit.common.errors import BundleError, CheckFailedError, InputError
from edgevit.inference.runner import Runner
from edgevit.workflows.compile import compile_bundle
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_export.engines.inline import inlined
from edgevit_runtimes.backends import onnxruntime_runner
from edgevit_runtimes.backends import open_model as open_module
from edgevit_runtimes.backends.classifier import BundleClassifier
from edgevit_runtimes.backends.native.native_library import is_built
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner, Placement
from edgevit_runtimes.backends.open_model import Host, open_variant
from edgevit_runtimes.backends.openvino_runner import OpenVinoRunner
from edgevit_runtimes.bench import measurement_process
from edgevit_runtimes.bench.fresh_process import MeasurementJob
from support import Command
from support.compiled_bundles import pretend_orin, with_engine
from support.needs import (
    AZURE_PROVIDER,
    CPU_HAS_BFLOAT16,
    needs_native_engine,
    needs_openvino,
    only_if,
)

IN_OPENVINO = [
    pytest.param(name, marks=needs_openvino) for name in ("openvino-fp32", "openvino-int8")
]
NATIVE = [pytest.param(name, marks=needs_native_engine) for name in ("native-fp32", "native-int8")]
VARIANTS = ["float", "onnxruntime-fp32", "onnxruntime-int8", *IN_OPENVINO, *NATIVE, "tensorrt-fp32"]


@pytest.fixture(scope="session")
def compiled(all_forms: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The shipped model in every runtime of the processor, and a stand-in's engine."""
    folder = tmp_path_factory.mktemp("runners")
    path = Path(shutil.copytree(all_forms, folder / "lla_tiny.edgevit"))
    bundle = Bundle.open(path)
    here = {"openvino": find_spec("openvino") is not None, "native": is_built()}
    targets = ["onnxruntime", *(name for name, is_here in here.items() if is_here)]
    for target in targets:
        for precision in ("fp32", "int8"):
            bundle = compile_bundle(bundle, target, precision=precision).bundle
    return with_engine(path)


@pytest.fixture(params=VARIANTS)
def runner(
    request: pytest.FixtureRequest, compiled: Bundle, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runner]:
    if request.param.startswith("tensorrt"):
        pretend_orin(monkeypatch, compiled)
    with open_variant(compiled, request.param) as opened:
        yield opened


def test_tensors_are_the_manifests_in_its_order(runner: Runner, compiled: Bundle) -> None:
    assert runner.inputs == compiled.manifest.inputs
    assert runner.outputs == compiled.manifest.outputs
    picture = compiled.reference().images[:1]
    answers = runner.infer({"image": picture})
    assert list(answers) == [spec.name for spec in runner.outputs]
    for spec in runner.outputs:
        got = answers[spec.name]
        assert (got.dtype.name, got.shape) == (spec.dtype, spec.shape)
        assert got.flags.c_contiguous
        assert got.flags.writeable


def test_answers_are_those_of_the_reference(runner: Runner, compiled: Bundle) -> None:
    reference = compiled.reference()
    got = np.concatenate([runner.infer({"image": p[None]})["logits"] for p in reference.images])
    expected = reference.outputs["logits"]
    assert (got.argmax(1) == expected.argmax(1)).sum() >= len(expected) - 1
    assert np.median(np.abs(got - expected).max(axis=1)) < 0.08 * np.ptp(expected)


def test_answers_outlive_the_next_inference(runner: Runner, compiled: Bundle) -> None:
    pictures = compiled.reference().images
    first = runner.infer({"image": pictures[:1]})["logits"]
    kept = first.copy()
    runner.infer({"image": pictures[1:2]})
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({}, "takes image; got nothing"),
        ({"picture": np.zeros((1, 160, 160, 3), np.uint8)}, "takes image; got picture"),
        ({"image": np.zeros((1, 160, 160, 3), np.float32)}, "is float32"),
        ({"image": np.zeros((2, 160, 160, 3), np.uint8)}, r"expected image uint8\[1, 160"),
        ({"image": np.zeros((160, 160, 3), np.uint8)}, "expected image"),
    ],
)
def test_feeds_are_checked_alike(feed: dict[str, np.ndarray], message: str, runner: Runner) -> None:
    with pytest.raises(InputError, match=message):
        runner.infer(feed)


# Precision ----------------------------------------------------------------------------------------


@needs_openvino
@pytest.mark.only_if(CPU_HAS_BFLOAT16)
def test_superpixels_stay_float32_in_a_bfloat16_model(lla_bundle: Path) -> None:
    bundle = Bundle.open(lla_bundle)
    model = inlined(bundle.variant().read_bytes())
    pictures = bundle.reference().images
    maps = {}
    for name, precision, keep in (
        ("f32", "f32", None),
        ("kept", "bf16", "assignment"),
        ("all bf16", "bf16", None),
    ):
        with OpenVinoRunner(model, 1, precision, None, keep) as runner:
            assert runner.inputs == bundle.manifest.inputs
            assert runner.outputs == bundle.manifest.outputs
            maps[name] = runner.infer({"image": pictures})["superpixels"]
    np.testing.assert_array_equal(maps["kept"], maps["f32"])
    assert (maps["all bf16"] != maps["f32"]).mean() > 0.01, "or there is nothing to keep apart"


@needs_openvino
def test_a_tensor_that_is_not_there_cannot_stay_float32() -> None:
    model = inlined(Bundle.open(PREBUILT_BUNDLE).variant().read_bytes())
    with pytest.raises(BundleError, match="no tensor 'nowhere'"):
        OpenVinoRunner(model, keep_float32="nowhere")


@needs_openvino
def test_a_processor_without_bfloat16_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import openvino

    monkeypatch.setattr(openvino.Core, "get_property", lambda *_: ["FP32", "INT8"])
    with pytest.raises(InputError, match="does not compute in bfloat16"):
        OpenVinoRunner(b"", precision="bf16")


@needs_openvino
def test_openvinos_cache_is_used(
    compiled: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    open_variant(compiled, "openvino-fp32").close()

    def kept() -> dict[str, int]:
        folder = tmp_path / "edgevit" / "openvino"
        return {file.name: file.stat().st_mtime_ns for file in folder.glob("*.compiled")}

    first = kept()
    assert first
    open_variant(compiled, "openvino-fp32").close()
    assert kept() == first, "nothing is compiled again"


# Host ---------------------------------------------------------------------------------------------


def test_a_runtime_stays_on_its_cores(compiled: Bundle) -> None:
    everywhere = os.sched_getaffinity(0)
    core = max(everywhere)
    try:
        with open_variant(compiled, "float", 2, Host(cores=(core,))) as runner:
            runner.infer({"image": compiled.reference().images[:1]})
            threads = Path("/proc/self/task").iterdir()
            started = {frozenset(os.sched_getaffinity(int(thread.name))) for thread in threads}
        assert os.sched_getaffinity(0) == {core}
        assert frozenset({core}) in started
    finally:
        os.sched_setaffinity(0, everywhere)


def test_cores_that_are_not_there(compiled: Bundle) -> None:
    with pytest.raises(InputError, match=r"'cores' names \[100000\]; this process may use"):
        open_variant(compiled, "float", host=Host(cores=(100_000,)))


def test_the_arena_is_onnx_runtimes(compiled: Bundle) -> None:
    with open_variant(compiled, "float", host=Host(arena=False)) as runner:
        runner.infer({"image": compiled.reference().images[:1]})
    if find_spec("openvino"):
        with pytest.raises(InputError, match="openvino has no memory arena"):
            open_variant(compiled, "openvino-fp32", host=Host(arena=False))


# Providers ----------------------------------------------------------------------------------------


def test_a_provider_that_is_not_installed() -> None:
    with pytest.raises(InputError, match="has no TensorrtExecutionProvider") as caught:
        OnnxRuntimeRunner(b"", placement=Placement("tensorrt"))
    assert "pip install onnxruntime-gpu" in str(caught.value)


@pytest.fixture
def other_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that is installed everywhere and takes no node: all of them fall to the CPU."""
    only_if(AZURE_PROVIDER)
    providers = {**onnxruntime_runner.PROVIDERS, "cuda": "AzureExecutionProvider"}
    monkeypatch.setattr(onnxruntime_runner, "PROVIDERS", providers)


@pytest.mark.usefixtures("other_provider")
def test_nodes_that_fall_to_another_provider_are_an_error_and_named() -> None:
    model = Bundle.open(PREBUILT_BUNDLE).variant()
    with pytest.raises(CheckFailedError, match=r"nodes are not taken by AzureExec") as caught:
        OnnxRuntimeRunner(model, placement=Placement("cuda"))
    assert "(MatMul) on CPUExecutionProvider" in str(caught.value) or "(Cast)" in str(caught.value)
    assert "'allow_fallback'" in str(caught.value)


@pytest.mark.usefixtures("other_provider")
def test_nodes_that_may_fall_are_listed() -> None:
    bundle = Bundle.open(PREBUILT_BUNDLE)
    with OnnxRuntimeRunner(bundle.variant(), placement=Placement("cuda", True)) as runner:
        assert len(runner.fallback_nodes) > 100
        assert all(text.endswith("on CPUExecutionProvider") for text in runner.fallback_nodes)
        assert len(runner.infer({"image": bundle.reference().images[:1]})["logits"]) == 1


@pytest.mark.usefixtures("other_provider")
def test_an_onnx_runtime_that_cannot_list_refuses_to_fall_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before 1.24; it says that nodes fell, not which."""
    monkeypatch.setattr(onnxruntime_runner, "_can_list", lambda: False)
    with pytest.raises(BundleError, match=r"fallback to CPU EP .* Add 'allow_fallback'"):
        OnnxRuntimeRunner(Bundle.open(PREBUILT_BUNDLE).variant(), placement=Placement("cuda"))


def test_on_the_processor_nothing_falls() -> None:
    with OnnxRuntimeRunner(Bundle.open(PREBUILT_BUNDLE).variant()) as runner:
        assert runner.fallback_nodes == ()


def test_tensorrts_nodes_may_fall_to_cuda_first() -> None:
    assert Placement("tensorrt").order == ["TensorrtExecutionProvider", "CPUExecutionProvider"]
    assert Placement("tensorrt", True).order[1] == "CUDAExecutionProvider"


# An op that a runtime cannot take -----------------------------------------------------------------


def odd(path: Path) -> Path:
    """The shipped model with one op that nobody knows."""
    model = onnx.load(Bundle.open(PREBUILT_BUNDLE).variant())
    node = next(node for node in model.graph.node if node.op_type == "Softmax")
    node.op_type, node.domain, node.name = "Sofftmax", "nobody", "odd_layer"
    model.opset_import.append(onnx.helper.make_opsetid("nobody", 1))
    onnx.save(model, path)
    return path


def test_onnx_runtime_names_the_op_and_compile_the_layer(
    compiled: Bundle, tmp_path: Path, edgevit: Command
) -> None:
    bundle = Bundle.open(Path(shutil.copytree(compiled.path, tmp_path / "odd.edgevit")))
    with edit(bundle) as draft:
        draft.write("model.onnx", odd)
    bundle = draft.bundle
    with pytest.raises(BundleError, match="Sofftmax"):
        open_variant(bundle, "float")
    before = sorted(file.name for file in bundle.path.iterdir())
    ended = edgevit("compile", bundle.path, "--target", "onnxruntime")
    assert ended.code == 1
    assert "Layers: odd_layer (Sofftmax)" in ended.err.splitlines()[-1]
    assert sorted(file.name for file in bundle.path.iterdir()) == before


def failing() -> bytes:
    """A model that loads, and reads beyond its picture when it runs."""
    place = onnx.numpy_helper.from_array(np.array([7]), "place")
    node = onnx.helper.make_node("Gather", ["image", "place"], ["logits"], axis=1)
    image, logits = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, shape)
        for name, shape in (("image", ["batch", "side"]), ("logits", ["batch", 1]))
    )
    graph = onnx.helper.make_graph([node], "failing", [image], [logits], [place])
    opsets = [onnx.helper.make_opsetid("", 18)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()


def test_a_model_that_fails_while_running_says_so() -> None:
    with OnnxRuntimeRunner(failing()) as runner:
        runner.infer({"image": np.zeros((1, 8), np.uint8)})
        with pytest.raises(BundleError, match=r"failed to run it: .*out of data bounds"):
            runner.infer({"image": np.zeros((1, 7), np.uint8)})


@needs_openvino
def test_openvino_names_the_op_and_the_layer(tmp_path: Path) -> None:
    from edgevit_export.engines.openvino import compile_openvino

    with pytest.raises(CheckFailedError, match=r"nobody\.Sofftmax.*Layers: odd_layer \(Sofftmax"):
        compile_openvino(odd(tmp_path / "odd.onnx").read_bytes(), OpenVinoRunner)


@pytest.mark.parametrize("paced", [True, False])
def test_threads_that_wait_for_a_camera_sleep(paced: bool) -> None:
    """A clip at 5 fps cost 1.4 s of processor time with one thread, 5.6 s with four."""
    with BundleClassifier(Bundle.open(PREBUILT_BUNDLE), "float", 4, paced) as classifier:
        options = classifier.runner._runner._session.get_session_options()  # type: ignore[attr-defined]
        for pool in ("intra_op", "inter_op"):
            allowed = options.get_session_config_entry(f"session.{pool}.allow_spinning")
            assert allowed == ("0" if paced else "1")


def test_the_paced_measurement_is_of_threads_that_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bench measures what a feed will run."""
    hosts: list[Host] = []
    real = open_module.open_variant

    def note(bundle: Bundle, variant: str, threads: int, host: Host) -> Runner:
        hosts.append(host)
        return real(bundle, variant, threads, host)

    monkeypatch.setattr(open_module, "open_variant", note)
    reference = str(PREBUILT_BUNDLE / REFERENCE_FILE)
    for measurement in ("paced", "hot"):
        job = MeasurementJob(
            measurement,
            str(PREBUILT_BUNDLE),
            "float",
            reference,
            threads=2,
            samples=2,
            warmup=1,
            max_seconds=0.1,
        )
        assert MeasurementJob.from_json(job.to_json()) == job
        measurement_process.MEASUREMENTS[measurement](job)
    assert [host.spinning for host in hosts] == [False, True]
