"""How often a deployed model is right: its answers to a folder of labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import refuse_unwritable
from edgevit.bundle.temperature import fitted, with_confidence
from edgevit.common.errors import InputError
from edgevit.common.progress import Progress, SilentProgress
from edgevit.images.picture_set import PictureSet, set_name
from edgevit.images.shards.open_labelled import open_labelled
from edgevit.inference.accuracy import Accuracy
from edgevit.inference.confidence import LEAST_IMAGES
from edgevit.results.evaluation import EvaluationResult
from edgevit.results.plots import check_picture, draw_confusion
from edgevit.workflows.trained_pictures import ALL, chosen_part
from edgevit.workflows.trial.trial_opening import try_untrusted

if TYPE_CHECKING:
    from edgevit.workflows.sets.engines import EngineOptions


def evaluate(
    bundle: Bundle,
    data: Path | str,
    *,
    variant: str | None = None,
    threads: int = 1,
    skip_corrupt: bool = False,
    engine: EngineOptions | None = None,
    confusion: Path | str | None = None,
    calibrate: bool = False,
    split: str = ALL,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Answers every picture of a folder in the runtime in which the model is deployed.

    Args:
        data: a folder with one folder of pictures for every class, or with tar and zip archives
            of them; or one that has such a folder as ``val``. Class names must be the model's.
        variant: by default the one that is chosen for this machine.
        skip_corrupt: leave damaged pictures out, and say which, instead of stopping.
        engine: where the work is done; None: in this process.
        confusion: draw the confusion matrix into this .png, .svg or .pdf.

        split: ``all`` of the pictures, or ``held-out``: those that validated the training.
        calibrate: fit the temperature of the model's probabilities on these pictures, and keep it
            in the bundle. They should be pictures that the model was not trained on.

    Raises:
        InputError: the model does not know a class of the folder, a picture is damaged, or a file
            cannot be written.
        BundleError: the variant does not exist or cannot be opened here.
        CheckFailedError: the model of an untrusted bundle does not pass its trial.
    """
    from edgevit_runtimes.backends.classifier import BundleClassifier
    from edgevit_runtimes.bench.conditions import runtime_label
    from edgevit_runtimes.devices.facts import chosen_here
    from edgevit_runtimes.selection.evaluate import evaluate as answer_folder

    progress = progress or SilentProgress()
    if calibrate:
        refuse_unwritable(bundle)
    data = Path(data)
    if confusion is not None:
        check_picture("--confusion", Path(confusion))
    root = data / "val" if (data / "val").is_dir() else data
    images = chosen_part(bundle, open_labelled(root, progress), split, progress)
    used = variant or chosen_here(bundle)
    try_untrusted(bundle, [used], progress)
    if engine is not None and engine.name != "local":
        from edgevit.workflows.sets.evaluate_set import evaluate_set

        readable, found = evaluate_set(
            bundle, images, used, threads, skip_corrupt, engine, progress
        )
    else:
        with BundleClassifier(bundle, used, threads) as classifier:
            readable = images.readable(skip_corrupt, threads, progress)
            found = answer_folder(classifier, readable, progress)
    picture_set = readable.identity(set_name(root))
    if calibrate:
        bundle = _calibrated(bundle, found.accuracy, picture_set)
    if confusion is not None:
        draw_confusion(*found.accuracy.used_confusion, Path(confusion))
    return EvaluationResult(
        bundle=bundle,
        variant=used,
        data=data,
        accuracy=found.accuracy,
        picture_set=picture_set,
        runtime=runtime_label(bundle, used),
        threads=threads,
        inference_seconds=found.inference_seconds,
        total_seconds=found.total_seconds,
        left_out={reason: len(files) for reason, files in images.left_out.items()},
    )


def _calibrated(bundle: Bundle, accuracy: Accuracy, pictures: PictureSet) -> Bundle:
    report = fitted(accuracy.logits, accuracy.labels, pictures)
    if report is None:
        raise InputError(
            f"--calibrate needs {LEAST_IMAGES} images or more, some of them answered wrong; got "
            f"{len(accuracy.labels)}, {accuracy.top1.right} of them right. Give others."
        )
    return with_confidence(bundle, report)
