"""TensorRT-RTX's real parser and builder take what we write; no GPU is needed, none is used."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from edgevit.bundle.bundle import Bundle
from edgevit.common import tensorrt_library
from edgevit.common.errors import CheckFailedError, InputError, MissingExtraError
from edgevit.common.installation.install_command import install_command
from edgevit.common.progress import Advance, SilentProgress
from edgevit.common.tensorrt_library import RTX, TensorRT, find_tensorrt
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.registry import MODELS
from edgevit_export.engines import tensorrt
from edgevit_export.engines.tensorrt import BatchRange, EngineOptions, build_engine
from support import ROOT, python
from support.needs import needs_no_gpu, needs_tensorrt


def builds(*arguments: object) -> list[dict[str, object]]:
    ended = python(ROOT / "benchmarks" / "tensorrt_builds.py", *arguments, "--json")
    assert ended.code == 0, ended.err + ended.out
    rows: list[dict[str, object]] = json.loads(ended.out)
    return rows


@needs_tensorrt
@pytest.mark.slow
def test_a_model_builds_in_every_precision() -> None:
    """lla_tiny's forms are built in tests/selection/test_compile.py."""
    rows = builds("--model", "lavit_tiny_32", "--capability", "8.6")
    sizes = {row["precision"]: row["engine_mib"] for row in rows}
    assert set(sizes) == {"fp32", "fp16", "int8"}
    # How much smaller depends on the kernels that are chosen: so small a model is mostly code.
    assert sizes["fp16"] < sizes["fp32"]
    assert sizes["int8"] < sizes["fp32"]


@needs_tensorrt
@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_model_builds_for_every_capability(name: str) -> None:
    assert len(builds("--model", name, "--capability", *tensorrt.AHEAD_OF_TIME)) == 12


@pytest.fixture(scope="module")
def odd_model() -> bytes:
    """One node of an op that nobody knows."""
    node = helper.make_node("NoSuchOp", ["image"], ["logits"], name="odd_layer", domain="nobody")
    value = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4])
        for name in ("image", "logits")
    ]
    graph = helper.make_graph([node], "odd", value[:1], value[1:])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("nobody", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    content: bytes = model.SerializeToString()
    return content


@needs_tensorrt
def test_an_op_that_it_cannot_take_is_named_with_its_layer(odd_model: bytes) -> None:
    with pytest.raises(CheckFailedError, match=r"odd_layer \(NoSuchOp\)"):
        build_engine(odd_model, EngineOptions("8.6"))


@needs_tensorrt
def test_a_file_that_is_no_model() -> None:
    with pytest.raises(CheckFailedError, match="not an ONNX model"):
        build_engine(b"no model", EngineOptions("8.6"))


class _RefusesFunctions:
    """A parser of a TensorRT without local functions: it names the op, and takes inlined graphs."""

    def __init__(self, real: Any, network: Any, log: Any) -> None:
        self.parser, self.refused = real(network, log), False

    def parse(self, model: bytes) -> bool:
        self.refused = bool(onnx.load_from_string(model).functions)
        return not self.refused and bool(self.parser.parse(model))

    @property
    def num_errors(self) -> int:
        return 1 if self.refused else int(self.parser.num_errors)

    def get_error(self, place: int) -> Any:
        return SimpleNamespace(
            node_name=lambda: "superpixels",
            node=lambda: 3,
            node_operator=lambda: "SuperpixelSlic",
            desc=lambda: "No importer registered for op: SuperpixelSlic",
        )


class _OldLibrary:
    """The real library with that parser."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.OnnxParser = partial(_RefusesFunctions, real.OnnxParser)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@needs_tensorrt
def test_a_parser_without_local_functions_gets_the_graph_inlined() -> None:
    real = find_tensorrt(RTX)
    old = TensorRT(RTX, _OldLibrary(real.module))
    model = Bundle.open(PREBUILT_BUNDLE).variant().read_bytes()
    engine = build_engine(model, EngineOptions("8.6"), old)
    assert engine.inlined
    assert len(engine.content) > len(model)  # the weights are in it
    assert not build_engine(model, EngineOptions("8.6"), real).inlined


@needs_tensorrt
def test_without_onnx_the_refused_op_is_still_named(monkeypatch: pytest.MonkeyPatch) -> None:
    old = TensorRT(RTX, _OldLibrary(find_tensorrt(RTX).module))
    model = Bundle.open(PREBUILT_BUNDLE).variant().read_bytes()
    monkeypatch.setattr(tensorrt, "find_spec", lambda _: None)
    with pytest.raises(CheckFailedError, match=r"superpixels \(SuperpixelSlic\)"):
        build_engine(model, EngineOptions("8.6"), old)


class _Heard(SilentProgress):
    def __init__(self) -> None:
        self.bars: list[tuple[str, int]] = []
        self.steps = 0

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        self.bars.append((label, total))

        def advance(steps: int = 1, note: str = "") -> None:
            self.steps += steps

        yield advance


@needs_tensorrt
def test_the_builder_shows_how_far_it_is() -> None:
    heard = _Heard()
    model = Bundle.open(PREBUILT_BUNDLE).variant().read_bytes()
    build_engine(model, EngineOptions("8.6"), progress=heard)
    assert heard.bars
    assert 0 < heard.steps <= sum(total for _, total in heard.bars)


@needs_tensorrt
def test_ctrl_c_stops_the_builder_and_comes_through() -> None:
    class Interrupting(_Heard):
        @contextmanager
        def bar(self, label: str, total: int) -> Iterator[Advance]:
            def advance(steps: int = 1, note: str = "") -> None:
                raise KeyboardInterrupt

            yield advance

    model = Bundle.open(PREBUILT_BUNDLE).variant().read_bytes()
    with pytest.raises(KeyboardInterrupt):
        build_engine(model, EngineOptions("8.6"), progress=Interrupting())


@needs_tensorrt
@needs_no_gpu
def test_building_for_a_gpu_that_is_not_here_fails() -> None:
    model = Bundle.open(PREBUILT_BUNDLE).variant().read_bytes()
    with pytest.raises(CheckFailedError, match="could not build an engine for this GPU"):
        build_engine(model, EngineOptions(None))


@pytest.mark.parametrize("capability", ["8.7", "9.0", "x"])
def test_a_capability_that_it_does_not_build_for(capability: str) -> None:
    with pytest.raises(InputError, match=r"does for 8\.0, 8\.6, 8\.9, 12\.0"):
        tensorrt.tensorrt_for(capability)


def test_turing_is_refused_with_the_reason() -> None:
    with pytest.raises(InputError, match=r"refuses float32 matrix products .* 7\.5"):
        tensorrt.tensorrt_for("7.5")


@needs_tensorrt
def test_turing_is_what_tensorrt_itself_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason that we give is the one it gives; should it ever build, this says so."""
    monkeypatch.setitem(tensorrt.AHEAD_OF_TIME, "7.5", "SM75")
    model = Bundle.open(PREBUILT_BUNDLE).variant().read_bytes()
    with pytest.raises(CheckFailedError, match="FP32 GEMM is not supported"):
        build_engine(model, EngineOptions("7.5"), find_tensorrt(RTX))


@pytest.mark.parametrize("text", ["8:1:1", "0", "0:1:2", "1:2", "a", "1:1:-3", "", "1:1:1:1"])
def test_a_batch_range_rises(text: str) -> None:
    with pytest.raises(InputError, match="LOW:TUNED:HIGH"):
        BatchRange.parse(text)


def test_a_batch_range_is_read() -> None:
    assert BatchRange.parse("1:4:16") == BatchRange(1, 4, 16)
    assert BatchRange.parse("2") == BatchRange(2, 2, 2)


def test_without_tensorrt_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_library, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=re.escape(install_command("tensorrt"))):
        tensorrt.tensorrt_for("8.6")


# What full TensorRT has and TensorRT-RTX's builder does not use: recorded calls -------------------


class _RecordedConfig:
    """The timing cache's calls of a builder configuration; ``accepts``: whether the cache fits."""

    def __init__(self, accepts: bool) -> None:
        self.accepts, self.created, self.cache = accepts, [], b""

    def create_timing_cache(self, known: bytes) -> bytes:
        self.created.append(known)
        return known

    def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.cache = cache
        return self.accepts or cache == b""

    def get_timing_cache(self) -> Any:
        return SimpleNamespace(serialize=lambda: self.cache + b"+new")


@pytest.mark.parametrize("accepts", [True, False])
def test_timings_are_kept_and_those_of_another_gpu_are_not_used(
    tmp_path: Path, accepts: bool
) -> None:
    file = tmp_path / "cache" / "timings"
    with tensorrt._timed_with(_RecordedConfig(True), file):
        pass
    assert file.read_bytes() == b"+new"
    config = _RecordedConfig(accepts)
    with tensorrt._timed_with(config, file):
        assert config.cache == (b"+new" if accepts else b"")


def test_timings_are_for_one_flavour_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/nowhere")
    files = {
        tensorrt._timing_cache(TensorRT("tensorrt", SimpleNamespace(__version__=version)))
        for version in ("10.3.0", "10.13.3", "10.3.0")
    }
    assert len(files) == 2
    assert tensorrt._timing_cache(TensorRT(RTX, SimpleNamespace(__version__="1.7"))) is None
