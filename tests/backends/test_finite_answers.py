"""No answer is made from logits that are no numbers."""

from __future__ import annotations

import numpy as np
import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import CheckFailedError
from edgevit.images.image_io import Image
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit_runtimes.backends.classifier import BundleClassifier


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_infinite_logits_are_an_error(
    value: float, photos: list[Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    with BundleClassifier(Bundle.open(PREBUILT_BUNDLE), "float") as classifier:
        assert list(classifier.answer(photos[:1], 1))
        real = classifier.runner.infer

        def broken(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            outputs = real(feeds)
            outputs["logits"][0, 3] = value
            return outputs

        monkeypatch.setattr(classifier.runner, "infer", broken)
        with pytest.raises(CheckFailedError, match="NaN or infinity"):
            list(classifier.answer(photos[:1], 1))
