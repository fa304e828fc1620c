"""Photographs for models that are built here, which see 224 pixels unless they say otherwise."""

from __future__ import annotations

import pytest

from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.zoo.interface.preprocess import Preprocess


@pytest.fixture(scope="session")
def photo_batch(photos: list[Image]) -> Image:
    """The photographs as a model input, uint8 [4, 224, 224, 3]."""
    return image_io.batch(photos, Preprocess(224))
