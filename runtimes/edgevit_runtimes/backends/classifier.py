"""Pictures in, answers out: a bundle in a runtime."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.task_answer import class_probabilities
from edgevit.common.errors import CheckFailedError
from edgevit.images.image_io import Image
from edgevit.inference.answers import Answer, likeliest
from edgevit.inference.batches import PictureSource, Resized, infer_batches
from edgevit.inference.runner import Array, Runner, batch_size
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.interface.tensors import LOGITS, SUPERPIXEL_MAP
from edgevit.zoo.tasks import BOXES, SCORES
from edgevit_runtimes.backends.open_model import Host, open_variant
from edgevit_runtimes.backends.shared_runner import SharedRunner
from edgevit_runtimes.devices.facts import chosen_here


class BundleClassifier:
    """Answers pictures of any size with a bundle's model. A context manager, safe in threads.

    Args:
        variant: which form of the model; by default the one chosen for this machine or its kind.
        paced: pictures come now and then, so threads that wait for them sleep.
    """

    def __init__(
        self,
        bundle: Bundle,
        variant: str | None = None,
        threads: int = 1,
        paced: bool = False,
    ) -> None:
        self.bundle = bundle
        self.variant = variant or chosen_here(bundle)
        host = Host(spinning=not paced)
        self.runner: Runner = SharedRunner(open_variant(bundle, self.variant, threads, host))

    @property
    def batch(self) -> int:
        """Pictures an inference, where the model takes no other number; else 1."""
        return batch_size(self.runner.inputs, 1)

    def answer(self, pictures: Sequence[Image], top: int) -> Iterator[list[Answer]]:
        """The ``top`` likeliest classes of every picture, likeliest first."""
        for logits in self.logits(pictures):
            yield self.named(self.probabilities(logits), top)

    def logits(
        self, pictures: Sequence[Image], resized: bool = False
    ) -> Iterator[NDArray[np.float32]]:
        """float32 [classes] of every picture; see :meth:`outputs`."""
        for outputs in self.outputs(pictures, resized):
            yield outputs[LOGITS]

    def outputs(
        self, pictures: Sequence[Image], resized: bool = False
    ) -> Iterator[dict[str, Array]]:
        """All of the model's outputs for every picture, by name, without their batch dimension.

        Args:
            pictures: of any size, or what ``image_io.resize`` made of them.
            resized: which of both: what is cropped is not cropped again.
        """
        preprocess = self.bundle.manifest.preprocess
        return _by_picture(self.runner, _source(pictures, preprocess, resized))

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of logits [classes], by the temperature that the bundle was calibrated with."""
        return class_probabilities(logits, self.bundle.manifest)

    def named(self, probabilities: NDArray[np.float32], top: int) -> list[Answer]:
        """The ``top`` largest probabilities and the names of their classes, largest first."""
        return likeliest(probabilities, self.bundle.manifest.classes, top)

    def close(self) -> None:
        self.runner.close()

    def __enter__(self) -> BundleClassifier:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class BundleSuperpixels:
    """The superpixels that a bundle's model pools, by the same op in the same runtime."""

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner, Tuning

        self.bundle = bundle
        drawn_now_and_then = Tuning(spinning=False)
        self.runner: Runner = SharedRunner(
            OnnxRuntimeRunner(bundle.superpixel_map(), threads, tuning=drawn_now_and_then)
        )

    def label_maps(
        self, pictures: Sequence[Image], resized: bool = False
    ) -> Iterator[NDArray[np.int32]]:
        """int32 [rows, columns] for every picture, to be stretched over what the model sees of it.

        Args:
            pictures, resized: as of :meth:`BundleClassifier.outputs`.
        """
        preprocess = self.bundle.manifest.preprocess
        for outputs in _by_picture(self.runner, _source(pictures, preprocess, resized)):
            yield outputs[SUPERPIXEL_MAP]

    def close(self) -> None:
        self.runner.close()

    def __enter__(self) -> BundleSuperpixels:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _refuse_infinite(outputs: dict[str, Array]) -> None:
    """No answer is made from logits that are no numbers, whatever runtime they come from."""
    answers = [outputs[name] for name in (LOGITS, BOXES, SCORES) if name in outputs]
    if not all(np.isfinite(answer).all() for answer in answers):
        raise CheckFailedError(
            "The model answered with NaN or infinity, which is no answer. Find the variant that "
            "does with: edgevit verify BUNDLE; then use another one with --variant."
        )


def _source(pictures: Sequence[Image], preprocess: Preprocess, resized: bool) -> PictureSource:
    return np.stack(pictures) if resized else Resized(pictures, preprocess)


def _by_picture(runner: Runner, pictures: PictureSource) -> Iterator[dict[str, Array]]:
    """The outputs, picture by picture.

    Raises:
        CheckFailedError: the logits are not finite.
    """
    for outputs in infer_batches(runner, pictures, free_batch=max(1, len(pictures))):
        _refuse_infinite(outputs)
        for arrays in zip(*outputs.values(), strict=True):
            yield dict(zip(outputs, arrays, strict=True))
