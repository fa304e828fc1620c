"""The TensorRT runner: its calls in order, its buffers, its errors. No GPU is here or needed.

What a GPU computes is not tested: the engine is a stand-in that records
(tests/support/machines/fake_tensorrt.py).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from edgevit.common import tensorrt_library
from edgevit.common.errors import BundleError, CheckFailedError, InputError, MissingExtraError
from edgevit.common.installation.install_command import install_command
from edgevit.common.tensorrt_library import find_tensorrt
from edgevit_runtimes.backends import cuda as cuda_module
from edgevit_runtimes.backends.cuda import Cuda
from edgevit_runtimes.backends.tensorrt_runner import TensorRTRunner
from support.machines.fake_tensorrt import GOOD_ENGINE, FakeCuda, FakeEngine, fake_tensorrt
from support.needs import needs_cuda_python, needs_no_gpu, needs_tensorrt


def sums(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    total = feeds["image"].sum(axis=(1, 2, 3), dtype=np.float32)
    return {"logits": total[:, None] * [1, 2], "superpixels": feeds["image"][..., 0] % 4}


def engine_of(cuda: FakeCuda, batch: int = -1) -> FakeEngine:
    inputs = {"image": ((batch, 2, 2, 3), "uint8")}
    outputs = {"logits": ((batch, 2), "float32"), "superpixels": ((batch, 2, 2), "int32")}
    return FakeEngine(cuda, inputs, outputs, sums)


def open_runner(cuda: FakeCuda, batch: int = -1, **options: object) -> TensorRTRunner:
    return TensorRTRunner(GOOD_ENGINE, fake_tensorrt(engine_of(cuda, batch)), Cuda(cuda), **options)


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (count, 2, 2, 3), np.uint8)


def test_an_inference_copies_in_computes_and_copies_out_between_events() -> None:
    cuda = FakeCuda()
    with open_runner(cuda, cuda_graph=False) as runner:
        cuda.calls.clear()
        runner.infer({"image": pictures(2)})
    event = "cudaEventRecord"
    copies = ["cudaMemcpyAsync out"] * 2
    assert cuda.calls[:8] == [
        event, "cudaMemcpyAsync in", event, "execute_async_v3", event, *copies, event,
    ]  # fmt: skip
    assert cuda.calls[8] == "cudaStreamSynchronize", "nothing is read before all is done"
    times = runner.last_times
    assert times is not None
    assert min(times.copy_in_ms, times.compute_ms, times.copy_out_ms) > 0


def test_a_cuda_graph_is_captured_once_for_a_batch_and_replayed() -> None:
    cuda = FakeCuda()
    with open_runner(cuda) as runner:
        for count in (2, 2, 2, 3, 3):
            runner.infer({"image": pictures(count)})
    assert cuda.calls.count("cudaGraphInstantiate") == 2
    assert cuda.calls.count("cudaGraphLaunch") == 5
    assert cuda.calls.count("execute_async_v3") == 4, "once to warm up and once captured, a batch"
    start = cuda.calls.index("cudaStreamBeginCapture")
    assert cuda.calls[start - 2 : start + 5] == [
        "execute_async_v3",
        "cudaStreamSynchronize",
        "cudaStreamBeginCapture",
        "execute_async_v3",
        "cudaStreamEndCapture",
        "cudaGraphInstantiate",
        "cudaGraphDestroy",
    ]


@pytest.mark.parametrize("cuda_graph", [True, False])
@pytest.mark.parametrize("count", [1, 2, 8])
def test_answers_are_those_of_the_pictures(cuda_graph: bool, count: int) -> None:
    given = pictures(count)
    with open_runner(FakeCuda(), cuda_graph=cuda_graph) as runner:
        first = runner.infer({"image": given})
        runner.infer({"image": np.zeros_like(given)})
    assert list(first) == ["logits", "superpixels"]
    for name, expected in sums({"image": given}).items():
        np.testing.assert_array_equal(first[name], expected, err_msg="the next inference wrote it")
    assert (first["logits"].dtype, first["superpixels"].dtype) == (np.float32, np.int32)


def test_the_tensors_are_named_as_in_the_other_runtimes() -> None:
    with open_runner(FakeCuda()) as dynamic, open_runner(FakeCuda(), batch=1) as fixed:
        assert [str(s) for s in dynamic.inputs] == ["image uint8[batch, 2, 2, 3]"]
        assert str(dynamic.outputs[0]) == "logits float32[batch, 2]"
        assert [str(s) for s in fixed.inputs] == ["image uint8[1, 2, 2, 3]"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (pictures(9), "at most 8 pictures at once; got 9"),
        (pictures(1).astype(np.float32), "is float32"),
        (pictures(1)[:, :, :, :1], "expected image"),
    ],
)
def test_feeds_are_checked(given: np.ndarray, message: str) -> None:
    with open_runner(FakeCuda()) as runner, pytest.raises(InputError, match=message):
        runner.infer({"image": given})


def test_closing_frees_everything_on_the_device() -> None:
    cuda = FakeCuda()
    runner = open_runner(cuda)
    runner.infer({"image": pictures(1)})
    assert cuda.live
    runner.close()
    assert not cuda.live


@pytest.mark.parametrize(
    "failing", ["cudaStreamCreate", "cudaEventCreate", "cudaMalloc", "cudaMallocHost"]
)
def test_what_fails_while_opening_is_named_and_leaves_nothing(failing: str) -> None:
    cuda = FakeCuda(failing=failing)
    with pytest.raises(CheckFailedError, match=rf"CUDA failed in {failing}: out of memory"):
        open_runner(cuda)
    assert not {entry for entry in cuda.live if entry in cuda._memory}


def test_a_truncated_or_foreign_engine_is_refused_with_the_reason() -> None:
    cuda = FakeCuda()
    library = fake_tensorrt(engine_of(cuda))
    with pytest.raises(BundleError, match=r"cannot load this engine: plan\.header\.size") as caught:
        TensorRTRunner(GOOD_ENGINE[:5], library, Cuda(cuda))
    assert "edgevit compile --target tensorrt" in str(caught.value)


def test_tensorrt_rtx_keeps_the_kernels_that_it_compiles(tmp_path: Path) -> None:
    cuda = FakeCuda()
    engine = engine_of(cuda)
    library = fake_tensorrt(engine, "tensorrt_rtx")
    cache = tmp_path / "cache" / "engine.cache"
    TensorRTRunner(GOOD_ENGINE, library, Cuda(cuda), runtime_cache=cache).close()
    assert cache.read_bytes() == b"kernels"
    TensorRTRunner(GOOD_ENGINE, library, Cuda(cuda), runtime_cache=cache).close()
    assert engine.cached == b"kernels"


# The real libraries -------------------------------------------------------------------------------


@needs_cuda_python
def test_every_cuda_call_is_there_in_cuda_python() -> None:
    from cuda.bindings import runtime

    names = [name for name in dir(FakeCuda) if name.startswith("cuda")]
    assert len(names) > 20
    assert [name for name in names if not hasattr(runtime, name)] == []


@needs_tensorrt
def test_every_tensorrt_call_is_there_in_tensorrt() -> None:
    from support.machines.fake_tensorrt import FakeContext

    trt = find_tensorrt("tensorrt_rtx").module
    for fake, real in ((FakeEngine, trt.ICudaEngine), (FakeContext, trt.IExecutionContext)):
        names = [n for n in vars(fake) if not n.startswith("_")]
        assert [name for name in names if not hasattr(real, name)] == []
    for name in ("Runtime", "TensorIOMode", "nptype", "ILogger"):
        assert hasattr(trt, name)


@needs_cuda_python
@needs_no_gpu
def test_without_a_gpu_the_real_cuda_python_says_so() -> None:
    with pytest.raises(InputError, match="No NVIDIA GPU can be used here: CUDA driver version"):
        Cuda.open()


# What this machine is ----------------------------------------------------------------------------


def test_a_gpu_is_named_with_its_capability_and_driver(tmp_path: Path) -> None:
    """/proc of a Jetson Orin with JetPack 6."""
    version = tmp_path / "proc" / "driver" / "nvidia" / "version"
    version.parent.mkdir(parents=True)
    version.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build  "
        "(buildbrain@mobile)  Tue Jan  7 17:35:13 PST 2025\nGCC version:  collect2: error\n"
    )
    gpu = Cuda(FakeCuda()).gpu(tmp_path)
    assert (gpu.name, gpu.capability, gpu.driver) == ("Orin", "8.7", "CUDA 12.6, 540.4.0")
    assert Cuda(FakeCuda()).gpu(tmp_path / "nothing").driver == "CUDA 12.6"


@pytest.mark.parametrize(
    ("devices", "message"),
    [(0, "No NVIDIA GPU is visible here"), (-1, "CUDA driver version is insufficient")],
)
def test_no_gpu(devices: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Cuda(FakeCuda(devices=devices))._refuse_without_gpu()


def test_without_cuda_python_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_module, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=re.escape(install_command("cuda"))):
        Cuda.open()


def test_without_tensorrt_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_library, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=re.escape(install_command("tensorrt"))):
        find_tensorrt()


def test_on_a_jetson_the_system_package_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tensorrt_library, "find_spec", lambda _: None)
    (tmp_path / "nv_tegra_release").write_text("# R36 (release), REVISION: 4.3")
    monkeypatch.setattr(tensorrt_library, "_JETSON_RELEASE", tmp_path / "nv_tegra_release")
    with pytest.raises(InputError, match="sudo apt install python3-libnvinfer-dev") as caught:
        find_tensorrt()
    assert "--system-site-packages" in str(caught.value)


@pytest.mark.parametrize("version", ["8.6.1", "10.2.0"])
def test_an_old_tensorrt_is_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library = fake_tensorrt(engine_of(FakeCuda()))
    library.module.__version__ = version
    with pytest.raises(InputError, match=rf"TensorRT {version} is older than 10\.3"):
        tensorrt_library._refuse_old(library)
