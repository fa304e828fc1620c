"""Pictures in, answers out: a bundle in a runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgevit import images
from edgevit.bundle import FLOAT_VARIANT, Bundle
from edgevit.errors import BundleError
from edgevit.images import Image
from edgevit.runner import Runner
from edgevit.spec import IMAGE_INPUT, LOGITS
from edgevit_runtimes.onnxruntime_runner import OnnxRuntimeRunner


@dataclass(frozen=True)
class Answer:
    """A class and its softmax share, 0 to 1."""

    label: str
    share: float


class BundleClassifier:
    """Answers pictures of any size with a bundle's model. A context manager."""

    def __init__(self, bundle: Bundle, variant: str = FLOAT_VARIANT, threads: int = 1) -> None:
        self.bundle = bundle
        self.runner: Runner = OnnxRuntimeRunner(bundle.variant(variant), threads)
        manifest = bundle.manifest
        if self.runner.inputs != manifest.inputs or self.runner.outputs != manifest.outputs:
            raise BundleError(
                f"{bundle.path}: the model has inputs {_listed(self.runner.inputs)} and outputs "
                f"{_listed(self.runner.outputs)}, but the manifest says otherwise. Export it again."
            )
        batch = manifest.inputs[0].shape[0]
        self._batch = batch if isinstance(batch, int) else None

    def answer(self, pictures: Sequence[Image], top: int) -> Iterator[list[Answer]]:
        """The ``top`` likeliest classes of every picture, likeliest first."""
        size = self._batch or max(1, len(pictures))
        for start in range(0, len(pictures), size):
            chunk = list(pictures[start : start + size])
            filled = chunk + [chunk[-1]] * (size - len(chunk))  # a fixed batch is filled up
            feed = images.batch(filled, self.bundle.manifest.preprocess)
            logits = self.runner.infer({IMAGE_INPUT: feed})[LOGITS]
            for row in logits[: len(chunk)]:
                yield self._top(row, top)

    def _top(self, logits: NDArray[np.float32], top: int) -> list[Answer]:
        exponentials = np.exp(logits - logits.max())
        shares = exponentials / exponentials.sum()
        best = np.argsort(-shares, kind="stable")[:top]
        classes = self.bundle.manifest.classes
        return [Answer(classes[i], float(shares[i])) for i in best]

    def close(self) -> None:
        self.runner.close()

    def __enter__(self) -> BundleClassifier:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _listed(specs: Sequence[object]) -> str:
    return ", ".join(map(str, specs))
