"""The native engine behind the Runner protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgevit.inference.runner import Array, LayerTime, check_feeds, is_profiling
from edgevit.zoo.interface.tensors import IMAGE_INPUT, LOGITS, TensorSpec
from edgevit_runtimes.backends.native.native_library import NativeModel


class NativeRunner:
    """A native model file. It answers picture by picture, so any batch will do.

    Args:
        model: a file, or its bytes.
        threads: of an inference, 1 to 16.
        batch: what the bundle's manifest says: a number, or the name of a dynamic dimension.
        isa: the name of an instruction set; by default the fastest that this processor has.

    Raises:
        DamagedError: the file is no native model, or damaged.
        InputError: the engine was not built, or threads or isa do not fit.
    """

    def __init__(
        self,
        model: Path | bytes,
        threads: int = 1,
        batch: int | str = "batch",
        isa: str | None = None,
    ) -> None:
        self._model = NativeModel(model, threads, isa)
        facts = self._model.info
        self.inputs = (TensorSpec(IMAGE_INPUT, "uint8", (batch, facts.height, facts.width, 3)),)
        self.outputs = (TensorSpec(LOGITS, "float32", (batch, facts.classes)),)
        self.isa = self._model.isa
        self._times: list[NDArray[np.uint64]] | None = [] if is_profiling() else None

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """See :class:`edgevit.inference.runner.Runner`.

        Raises:
            InputError: the feeds do not fit.
        """
        check_feeds(feeds, self.inputs)
        pictures = np.ascontiguousarray(feeds[IMAGE_INPUT])
        logits = np.empty((len(pictures), self._model.info.classes), np.float32)
        # Asked once: an array takes a microsecond to say where it lies.
        picture, answer = pictures.ctypes.data, logits.ctypes.data
        for i in range(len(pictures)):
            rgb, to = picture + i * pictures.strides[0], answer + i * logits.strides[0]
            self._model.run(rgb, to, nanoseconds=self._clock())
        return {LOGITS: logits}

    def superpixel_maps(self, pictures: Array) -> NDArray[np.int32]:
        """The superpixel of every cell, int32 [B, rows, columns], of uint8 [B, H, W, 3]."""
        facts = self._model.info
        pictures = np.ascontiguousarray(pictures)
        maps = np.empty((len(pictures), facts.map_rows, facts.map_columns), np.int32)
        logits = np.empty(facts.classes, np.float32)
        for picture, found in zip(pictures, maps, strict=True):
            self._model.run(picture.ctypes.data, logits.ctypes.data, found.ctypes.data)
        return maps

    def _clock(self) -> int:
        """Where the next times go; 0 where nothing is profiled."""
        if self._times is None:
            return 0
        self._times.append(np.zeros(self._model.info.operations, np.uint64))
        return int(self._times[-1].ctypes.data)

    def layer_times(self) -> list[LayerTime]:
        """Medians over the pictures, operation by operation."""
        from statistics import median  # 5 ms that an answer need not take

        times = self._times or []
        columns = zip(*(time.tolist() for time in times), strict=True)
        return [
            LayerTime(name, kind, median(column) / 1000)
            for (name, kind), column in zip(self._model.operations, columns, strict=False)
        ]

    def close(self) -> None:
        """Frees the model."""
        self._model.close()

    def __enter__(self) -> NativeRunner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
