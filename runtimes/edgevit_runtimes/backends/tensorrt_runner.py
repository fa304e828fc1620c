"""TensorRT behind the Runner protocol: an engine on the GPU that it was built for.

Pictures are copied through pinned memory into the engine's buffers; the engine runs as a replayed
CUDA graph; events on the device time copy in, compute and copy out apart.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from edgevit.common.errors import CheckFailedError, DamagedError, InputError
from edgevit.common.storage.files import write_atomically
from edgevit.common.tensorrt_library import TensorRT
from edgevit.inference.runner import Array, LayerTime, check_feeds, is_profiling
from edgevit.zoo.interface.tensors import TensorSpec
from edgevit_runtimes.backends.cuda import Cuda
from edgevit_runtimes.backends.tensorrt_profile import layer_profiler

_DYNAMIC = "batch"


@dataclass(frozen=True)
class DeviceTimes:
    """One inference as the device saw it."""

    copy_in_ms: float
    compute_ms: float
    copy_out_ms: float


class TensorRTRunner:
    """A deserialized engine with buffers for its largest batch.

    Args:
        engine: the serialized engine. Whoever calls this has checked its hash.
        tensorrt: the flavour that it was built with.
        cuda: the CUDA runtime, with a GPU.
        cuda_graph: replay the engine as a CUDA graph, which spares the launch of every kernel.
        runtime_cache: where TensorRT-RTX keeps the kernels that it compiles for this GPU.

    Raises:
        DamagedError: the engine is truncated, or of another version or GPU.
        CheckFailedError: there is not enough memory on the GPU, or it cannot run a CUDA graph.
    """

    def __init__(
        self,
        engine: bytes,
        tensorrt: TensorRT,
        cuda: Cuda,
        cuda_graph: bool = True,
        runtime_cache: Path | None = None,
    ) -> None:
        self._trt, self._cuda, self._wants_graph = tensorrt.module, cuda, cuda_graph
        # Layers of a replayed graph are not reported.
        self._profile = layer_profiler(self._trt) if is_profiling() else None
        self._wants_graph &= self._profile is None
        self._closing = ExitStack()
        self._log = tensorrt.collecting_log()
        self._runtime = self._trt.Runtime(self._log)  # it must outlive the engine
        self._engine = self._runtime.deserialize_cuda_engine(engine)
        if self._engine is None:
            raise DamagedError(
                f"{tensorrt.label} cannot load this engine: {self._log.told()}. It is damaged, or "
                "of another version or GPU. Build it here: edgevit compile --target tensorrt"
            )
        self.inputs = self._specs(self._trt.TensorIOMode.INPUT)
        self.outputs = self._specs(self._trt.TensorIOMode.OUTPUT)
        self.last_times: DeviceTimes | None = None
        try:
            self._open(tensorrt, runtime_cache)
        except BaseException:
            self.close()
            raise

    def _open(self, tensorrt: TensorRT, runtime_cache: Path | None) -> None:
        self._context = self._execution_context(tensorrt, runtime_cache)
        if self._profile is not None:
            self._context.profiler = self._profile
        self._stream = self._cuda.call("StreamCreate")
        self._closing.callback(self._cuda.call, "StreamDestroy", self._stream)
        self._events = [self._event() for _ in range(4)]
        self._largest = self._largest_batch()
        self._buffers = {spec.name: self._buffer(spec) for spec in (*self.inputs, *self.outputs)}
        self._batch: int | None = None
        self._graph: Any = None

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        check_feeds(feeds, self.inputs)
        batch = len(feeds[self.inputs[0].name])
        if batch > self._largest:
            raise InputError(
                f"The engine takes at most {self._largest} pictures at once; got {batch}. Compile "
                f"it with --batch 1:1:{batch}."
            )
        self._prepare(batch)
        for spec in self.inputs:
            self._buffers[spec.name].host(batch)[...] = feeds[spec.name]
        self._run(batch)
        return {spec.name: self._buffers[spec.name].host(batch).copy() for spec in self.outputs}

    def _run(self, batch: int) -> None:
        """Copy in, compute, copy out, with an event before, between and after."""
        self._record(0)
        for spec in self.inputs:
            self._buffers[spec.name].copy_in(batch, self._stream)
        self._record(1)
        self._launch()
        self._record(2)
        for spec in self.outputs:
            self._buffers[spec.name].copy_out(batch, self._stream)
        self._record(3)
        self._cuda.call("StreamSynchronize", self._stream)
        self.last_times = DeviceTimes(*(self._elapsed_ms(i) for i in range(3)))

    def _prepare(self, batch: int) -> None:
        """Another batch size means other shapes, and another graph."""
        if batch == self._batch:
            return
        for spec in self.inputs:
            shape = _sized(spec, batch)
            if not self._context.set_input_shape(spec.name, shape):
                raise InputError(f"The engine does not take {spec.name} {list(shape)}.")
        for name, buffer in self._buffers.items():
            self._context.set_tensor_address(name, buffer.device)
        self._drop_graph()
        if self._wants_graph:
            self._graph = self._captured()
        self._batch = batch

    def _launch(self) -> None:
        if self._graph is not None:
            self._cuda.call("GraphLaunch", self._graph, self._stream)
        else:
            self._execute()

    def _execute(self) -> None:
        if not self._context.execute_async_v3(int(self._stream)):
            raise CheckFailedError(f"TensorRT could not run the engine: {self._log.told()}")

    def _captured(self) -> Any:
        """The engine as a graph. It runs once before: what it sets up lazily is not captured."""
        self._execute()
        self._cuda.call("StreamSynchronize", self._stream)
        mode = self._cuda.runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._cuda.call("StreamBeginCapture", self._stream, mode)
        try:
            self._execute()
        finally:
            graph = self._cuda.call("StreamEndCapture", self._stream)
        try:
            return self._cuda.call("GraphInstantiate", graph, 0)
        finally:
            self._cuda.call("GraphDestroy", graph)

    def _drop_graph(self) -> None:
        if self._graph is not None:
            graph, self._graph = self._graph, None
            self._cuda.call("GraphExecDestroy", graph)

    def _event(self) -> Any:
        event = self._cuda.call("EventCreate")
        self._closing.callback(self._cuda.call, "EventDestroy", event)
        return event

    def _record(self, place: int) -> None:
        self._cuda.call("EventRecord", self._events[place], self._stream)

    def _elapsed_ms(self, place: int) -> float:
        return float(
            self._cuda.call("EventElapsedTime", self._events[place], self._events[place + 1])
        )

    def _buffer(self, spec: TensorSpec) -> _Buffer:
        buffer = _Buffer(self._cuda, spec, self._largest)
        self._closing.callback(buffer.free)
        return buffer

    def _specs(self, mode: Any) -> tuple[TensorSpec, ...]:
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        return tuple(
            TensorSpec(
                name,
                np.dtype(self._trt.nptype(self._engine.get_tensor_dtype(name))).name,
                tuple(_DYNAMIC if d == -1 else int(d) for d in self._engine.get_tensor_shape(name)),
            )
            for name in names
            if self._engine.get_tensor_mode(name) == mode
        )

    def _largest_batch(self) -> int:
        picture = self.inputs[0]
        if isinstance(picture.shape[0], int):
            return picture.shape[0]
        _, _, largest = self._engine.get_tensor_profile_shape(picture.name, 0)
        return int(largest[0])

    def _execution_context(self, tensorrt: TensorRT, cache_file: Path | None) -> Any:
        """TensorRT-RTX compiles kernels when it first runs them; its cache keeps them."""
        if not tensorrt.is_rtx or cache_file is None:
            return self._checked(self._engine.create_execution_context())
        config = self._engine.create_runtime_config()
        cache = config.create_runtime_cache()
        if cache_file.is_file():
            cache.deserialize(cache_file.read_bytes())
        config.set_runtime_cache(cache)
        self._closing.callback(_keep, cache, cache_file)
        return self._checked(self._engine.create_execution_context(config))

    def _checked(self, context: Any) -> Any:
        if context is None:
            raise CheckFailedError(f"TensorRT cannot run the engine here: {self._log.told()}")
        return context

    def layer_times(self) -> list[LayerTime]:
        return self._profile.layer_times() if self._profile is not None else []

    def close(self) -> None:
        """Frees everything on the device. What fails here stays unsaid: the process goes on."""
        if getattr(self, "_graph", None) is not None:
            self._drop_graph()
        self._closing.close()
        self._context = self._engine = None

    def __enter__(self) -> TensorRTRunner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Buffer:
    """A tensor in pinned memory and on the device, with room for the largest batch."""

    def __init__(self, cuda: Cuda, spec: TensorSpec, largest: int) -> None:
        self.cuda, self.spec = cuda, spec
        self.dtype = np.dtype(spec.dtype)
        size = self._bytes(largest)
        self.device = int(cuda.call("Malloc", size))
        try:
            self.pinned = int(cuda.call("MallocHost", size))
        except BaseException:
            cuda.call("Free", self.device)
            raise

    def host(self, batch: int) -> Array:
        """The pinned memory as an array of a batch; no copy."""
        memory = (ctypes.c_uint8 * self._bytes(batch)).from_address(self.pinned)
        flat: Array = np.frombuffer(memoryview(memory), self.dtype)
        return flat.reshape(_sized(self.spec, batch))

    def copy_in(self, batch: int, stream: Any) -> None:
        kind = self.cuda.runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.cuda.call("MemcpyAsync", self.device, self.pinned, self._bytes(batch), kind, stream)

    def copy_out(self, batch: int, stream: Any) -> None:
        kind = self.cuda.runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.cuda.call("MemcpyAsync", self.pinned, self.device, self._bytes(batch), kind, stream)

    def free(self) -> None:
        self.cuda.call("FreeHost", self.pinned)
        self.cuda.call("Free", self.device)

    def _bytes(self, batch: int) -> int:
        return prod(_sized(self.spec, batch)) * self.dtype.itemsize


def _sized(spec: TensorSpec, batch: int) -> tuple[int, ...]:
    return tuple(batch if isinstance(d, str) else d for d in spec.shape)


def _keep(cache: Any, file: Path) -> None:
    content = bytes(cache.serialize())
    with suppress(InputError):  # a full disk costs the next start some time, no more
        write_atomically(file, lambda aside: aside.write_bytes(content))
