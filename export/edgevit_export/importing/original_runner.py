"""The model as it was given, seen as a Runner of pictures: what a bundle is compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod

import numpy as np

from edgevit.common.errors import InputError
from edgevit.inference.runner import Array, Runner, check_feeds
from edgevit.zoo.interface.tensors import IMAGE_INPUT, LOGITS, TensorSpec
from edgevit.zoo.normalisation import Normalisation
from edgevit_export.importing.model_input import ModelInput


def prepared(
    images: Array, found: ModelInput, normalisation: Normalisation | None, bgr: bool
) -> Array:
    """uint8 RGB [B, H, W, 3] as a model wants it, by numpy and not by the graph that is checked."""
    seen = images[..., ::-1] if bgr else images
    if normalisation is not None:
        scaled = seen.astype(np.float32) * np.float32(normalisation.scale)
        mean, std = (np.asarray(v, np.float32) for v in (normalisation.mean, normalisation.std))
        seen = (scaled - mean) / std
    return np.ascontiguousarray(seen.transpose(0, 3, 1, 2) if found.layout == "nchw" else seen)


class OriginalRunner:
    """A model that takes pictures, behind the preprocessing that a person wrote for it.

    Args:
        answer: prepared pictures to answers, [B, ...].
    """

    def __init__(
        self,
        answer: Callable[[Array], Array],
        found: ModelInput,
        normalisation: Normalisation | None,
        bgr: bool,
    ) -> None:
        self._answer, self._found = answer, found
        self._normalisation, self._bgr = normalisation, bgr
        batch: int | str = "batch" if found.batch is None else found.batch
        self.inputs = (TensorSpec(IMAGE_INPUT, "uint8", (batch, found.size_px, found.size_px, 3)),)
        self.outputs = (TensorSpec(LOGITS, "float32", (batch, "classes")),)

    def infer(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """``logits`` float32 [B, classes].

        Raises:
            InputError: the model does not answer with a number for each class.
        """
        check_feeds(feeds, self.inputs)
        images = feeds[IMAGE_INPUT]
        answers = self._answer(prepared(images, self._found, self._normalisation, self._bgr))
        return {LOGITS: by_class(answers, len(images))}

    def close(self) -> None:
        """What answers is closed by whoever opened it."""

    def __enter__(self) -> OriginalRunner:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def answers_of(runner: Runner, name: str) -> Callable[[Array], Array]:
    """A model of one output as a function of its prepared input."""
    output = runner.outputs[0].name
    return lambda images: runner.infer({name: images})[output]


def by_class(answers: Array, batch: int) -> Array:
    """Answers [B, C], with any axes of one besides, as [B, C].

    Raises:
        InputError: they are something else; it says what they look like.
    """
    shape = answers.shape
    sides = [side for side in (shape[1:] if shape and shape[0] == batch else shape) if side > 1]
    if len(sides) == 1 and prod(shape) == batch * sides[0]:
        return np.asarray(answers.reshape(batch, sides[0]), np.float32)
    if not sides:
        raise InputError(
            f"The model answers {batch} pictures with {list(shape)}: one number for each. A "
            "classifier gives a number for each of two or more classes; export yours with two."
        )
    raise InputError(
        f"The model answers {batch} pictures with {list(shape)}; a classifier gives a number for "
        f"each class, [{batch}, classes]. This looks like a detector, a segmentation model or the "
        "trunk of a network, which edgevit does not run."
    )
