# ruff: noqa: ARG005, N802, N815  (names and signatures are those that it stands in for)
"""Stand-ins for TensorRT's execution interface and CUDA's runtime, where there is no GPU.

They record every call in order, and compute with a function of numpy arrays in place of kernels.
Names and signatures are those of ``tensorrt`` 10 and 11, ``tensorrt_rtx`` 1.7 and
``cuda.bindings.runtime`` 13.5; tests/backends/test_tensorrt_runner.py holds them against what is
installed. They say nothing of whether an engine computes the right thing on a GPU.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np

from edgevit.common.tensorrt_library import TensorRT

GOOD_ENGINE = b"a serialized engine"


class Error(Enum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35


class Direction(Enum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2


class CaptureMode(Enum):
    cudaStreamCaptureModeThreadLocal = 1


class IoMode(Enum):
    INPUT = 1
    OUTPUT = 2


@dataclass
class FakeCuda:
    """``cuda.bindings.runtime``: "device" memory is memory of this process.

    failing: the call that gives an error code. devices: how many GPUs there are.
    """

    calls: list[str] = field(default_factory=list)
    failing: str | None = None
    devices: int = 1
    capability: tuple[int, int] = (8, 7)
    capturing: list[Callable[[], None]] | None = None
    live: set[Any] = field(default_factory=set)
    cudaError_t = Error
    cudaMemcpyKind = Direction
    cudaStreamCaptureMode = CaptureMode

    def __post_init__(self) -> None:
        self._memory: dict[int, Any] = {}
        self._ticks = 0

    def _done(self, name: str, *results: Any) -> tuple[Any, ...]:
        self.calls.append(name)
        if self.failing == name:
            return (Error.cudaErrorMemoryAllocation, *(None for _ in results))
        return (Error.cudaSuccess, *results)

    def cudaGetDeviceCount(self) -> tuple[Any, ...]:
        if self.devices < 0:
            return Error.cudaErrorInsufficientDriver, None
        return Error.cudaSuccess, self.devices

    def cudaGetErrorString(self, error: Error) -> tuple[Any, bytes]:
        texts = {
            Error.cudaErrorMemoryAllocation: b"out of memory",
            Error.cudaErrorInsufficientDriver: b"CUDA driver version is insufficient",
        }
        return Error.cudaSuccess, texts[error]

    def cudaGetDeviceProperties(self, device: int) -> tuple[Any, Any]:
        major, minor = self.capability
        return Error.cudaSuccess, SimpleNamespace(name=b"Orin", major=major, minor=minor)

    def cudaDriverGetVersion(self) -> tuple[Any, int]:
        return Error.cudaSuccess, 12060

    def _allocate(self, name: str, size: int) -> tuple[Any, ...]:
        memory = (ctypes.c_uint8 * size)()
        address = ctypes.addressof(memory)
        result = self._done(name, address)
        if result[0] is Error.cudaSuccess:
            self._memory[address] = memory
            self.live.add(address)
        return result

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:
        return self._allocate("cudaMalloc", size)

    def cudaMallocHost(self, size: int) -> tuple[Any, ...]:
        return self._allocate("cudaMallocHost", size)

    def _free(self, name: str, what: Any) -> tuple[Any, ...]:
        self.live.remove(what)
        return self._done(name)

    def cudaFree(self, address: int) -> tuple[Any, ...]:
        return self._free("cudaFree", address)

    def cudaFreeHost(self, address: int) -> tuple[Any, ...]:
        return self._free("cudaFreeHost", address)

    def _make(self, name: str) -> tuple[Any, ...]:
        handle = len(self.calls) + 1000
        self.live.add(handle)
        return self._done(name, handle)

    def cudaStreamCreate(self) -> tuple[Any, ...]:
        return self._make("cudaStreamCreate")

    def cudaStreamDestroy(self, stream: int) -> tuple[Any, ...]:
        return self._free("cudaStreamDestroy", stream)

    def cudaEventCreate(self) -> tuple[Any, ...]:
        return self._make("cudaEventCreate")

    def cudaEventDestroy(self, event: int) -> tuple[Any, ...]:
        return self._free("cudaEventDestroy", event)

    def cudaEventRecord(self, event: int, stream: int) -> tuple[Any, ...]:
        return self._done("cudaEventRecord")

    def cudaEventElapsedTime(self, start: int, end: int) -> tuple[Any, ...]:
        return self._done("cudaEventElapsedTime", float(end - start))

    def cudaMemcpyAsync(
        self, target: int, source: int, size: int, kind: Direction, stream: int
    ) -> tuple[Any, ...]:
        ctypes.memmove(target, source, size)
        way = "in" if kind is Direction.cudaMemcpyHostToDevice else "out"
        return self._done(f"cudaMemcpyAsync {way}")

    def cudaStreamSynchronize(self, stream: int) -> tuple[Any, ...]:
        return self._done("cudaStreamSynchronize")

    def cudaStreamBeginCapture(self, stream: int, mode: CaptureMode) -> tuple[Any, ...]:
        self.capturing = []
        return self._done("cudaStreamBeginCapture")

    def cudaStreamEndCapture(self, stream: int) -> tuple[Any, ...]:
        graph, self.capturing = tuple(self.capturing or ()), None
        return self._done("cudaStreamEndCapture", graph)

    def cudaGraphInstantiate(self, graph: Any, flags: int) -> tuple[Any, ...]:
        self.live.add(("graph", graph))
        return self._done("cudaGraphInstantiate", ("graph", graph))

    def cudaGraphDestroy(self, graph: Any) -> tuple[Any, ...]:
        return self._done("cudaGraphDestroy")

    def cudaGraphLaunch(self, graph: Any, stream: int) -> tuple[Any, ...]:
        for work in graph[1]:
            work()
        return self._done("cudaGraphLaunch")

    def cudaGraphExecDestroy(self, graph: Any) -> tuple[Any, ...]:
        return self._free("cudaGraphExecDestroy", graph)


Tensors = dict[str, tuple[tuple[int, ...], str]]


class FakeEngine:
    """What a model of these tensors deserializes to; ``compute`` stands for its kernels."""

    def __init__(
        self,
        cuda: FakeCuda,
        inputs: Tensors,
        outputs: Tensors,
        compute: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]],
        largest: int = 8,
    ) -> None:
        self.cuda, self.compute, self.largest = cuda, compute, largest
        self.inputs, self.outputs = inputs, outputs
        self.tensors = {**inputs, **outputs}
        self.num_io_tensors = len(self.tensors)
        self.runtime_cache = b""

    def get_tensor_name(self, place: int) -> str:
        return list(self.tensors)[place]

    def get_tensor_mode(self, name: str) -> IoMode:
        return IoMode.INPUT if name in self.inputs else IoMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> str:
        return self.tensors[name][1]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.tensors[name][0]

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        shape = self.tensors[name][0]
        return [(batch, *shape[1:]) for batch in (1, 1, self.largest)]

    def create_execution_context(self, config: Any = None) -> FakeContext:
        return FakeContext(self)

    def create_runtime_config(self) -> Any:
        cache = SimpleNamespace(
            serialize=lambda: b"kernels", deserialize=lambda found: setattr(self, "cached", found)
        )
        return SimpleNamespace(
            create_runtime_cache=lambda: cache, set_runtime_cache=lambda given: None
        )


class FakeContext:
    def __init__(self, engine: FakeEngine) -> None:
        self.engine, self.shapes, self.addresses = engine, {}, {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = shape
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        self.engine.cuda.calls.append("execute_async_v3")
        if self.engine.cuda.capturing is not None:
            self.engine.cuda.capturing.append(self._compute)
        else:
            self._compute()
        return True

    def _compute(self) -> None:
        feeds = {name: self._array(name) for name in self.engine.inputs}
        for name, value in self.engine.compute(feeds).items():
            self._array(name)[...] = value

    def _array(self, name: str) -> np.ndarray:
        batch = next(iter(self.shapes.values()))[0]
        shape, dtype = self.engine.tensors[name]
        shape = tuple(batch if d == -1 else d for d in shape)
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        memory = (ctypes.c_uint8 * count).from_address(self.addresses[name])
        return np.frombuffer(memory, dtype).reshape(shape)


class FakeLogger:
    ERROR, INTERNAL_ERROR = "error", "internal error"


def fake_tensorrt(engine: FakeEngine, name: str = "tensorrt") -> TensorRT:
    """A library whose runtime loads :data:`GOOD_ENGINE` and nothing else."""

    class Runtime:
        def __init__(self, log: Any) -> None:
            self.log = log

        def deserialize_cuda_engine(self, content: bytes) -> FakeEngine | None:
            if content == GOOD_ENGINE:
                return engine
            self.log.log("error", "plan.header.size == blobSize failed")
            return None

    module = SimpleNamespace(
        __version__="10.3.0",
        ILogger=FakeLogger,
        Runtime=Runtime,
        TensorIOMode=IoMode,
        nptype=np.dtype,
    )
    return TensorRT(name, module)
