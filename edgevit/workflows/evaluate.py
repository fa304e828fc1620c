"""How often a deployed model is right: its answers to a folder of labelled pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import refuse_unwritable
from edgevit.bundle.temperature import fitted, with_confidence
from edgevit.common.errors import InputError
from edgevit.common.progress import Progress, SilentProgress
from edgevit.images.data_folders import validation_folder
from edgevit.images.picture_set import PictureSet, set_name
from edgevit.images.shards.open_labelled import open_labelled
from edgevit.inference.accuracy import Accuracy
from edgevit.inference.confidence import LEAST_IMAGES
from edgevit.results.dense.detection_evaluation import DetectionEvaluationResult
from edgevit.results.dense.segmentation_result import SegmentationResult
from edgevit.results.evaluation import EvaluationResult
from edgevit.results.plots import check_picture, draw_confusion
from edgevit.workflows.dense.evaluate_detector import evaluate_detector
from edgevit.workflows.dense.evaluate_masks import MaskEvaluation, evaluate_masks
from edgevit.workflows.trained_pictures import ALL, chosen_part
from edgevit.workflows.trial.trial_opening import try_untrusted

if TYPE_CHECKING:
    from edgevit.images.labelled_images import LabelledImages
    from edgevit.workflows.sets.engines import EngineOptions
    from edgevit_runtimes.selection.evaluate import Evaluation

AnyEvaluation: TypeAlias = EvaluationResult | SegmentationResult | DetectionEvaluationResult


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
    void: int | None = None,
    progress: Progress | None = None,
) -> AnyEvaluation:
    """Answers every picture of a folder in the runtime in which the model is deployed.

    Args:
        data: a folder with one folder of pictures for every class, or with tar and zip archives
            of them; or one that has such a folder as ``val``. Class names must be the model's. Of
            a segmentation model: a folder with ``images`` and ``labels``. Of a detector: pictures
            with boxes, Pascal VOC or COCO.
        variant: by default the one that is chosen for this machine.
        skip_corrupt: leave damaged pictures out, and say which, instead of stopping.
        engine: where the work is done; None: in this process.
        void: of a segmentation model, a label that is not counted, beside 255; by default the one
            that it was trained without.
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
    from edgevit_runtimes.devices.facts import chosen_here

    progress = progress or SilentProgress()
    used = variant or chosen_here(bundle)
    task = bundle.manifest.task
    if void is not None and task != "segmentation":
        raise InputError(f"--void is for models that give masks; this one's task is {task}.")
    if task == "classification":
        how = _How(used, threads, skip_corrupt, engine, confusion, calibrate, split)
        return _of_classifier(bundle, Path(data), how, progress)
    _refuse_for_dense(task, confusion=confusion, calibrate=calibrate)
    if engine is not None and engine.name != "local":
        raise InputError(f"--engine {engine.name} is for classifiers; this model's task is {task}.")
    try_untrusted(bundle, [used], progress)
    if task == "segmentation":
        masks = MaskEvaluation(used, threads, void, skip_corrupt, split)
        return evaluate_masks(bundle, Path(data), masks, progress)
    return evaluate_detector(bundle, Path(data), used, threads, split, progress)


@dataclass(frozen=True)
class _How:
    """Options of :func:`evaluate`, with the variant that is used."""

    variant: str
    threads: int
    skip_corrupt: bool
    engine: EngineOptions | None
    confusion: Path | str | None
    calibrate: bool
    split: str


def _refuse_for_dense(task: str, **given: object) -> None:
    if named := [f"--{name}" for name, value in given.items() if value]:
        raise InputError(f"{', '.join(named)} is for classifiers; this model's task is {task}.")


def _of_classifier(bundle: Bundle, data: Path, how: _How, progress: Progress) -> EvaluationResult:
    from edgevit_runtimes.bench.conditions import runtime_label

    if how.calibrate:
        refuse_unwritable(bundle)
    if how.confusion is not None:
        check_picture("--confusion", Path(how.confusion))
    root = validation_folder(data)
    images = chosen_part(bundle, open_labelled(root, progress), how.split, progress)
    try_untrusted(bundle, [how.variant], progress)
    readable, found = _answered(bundle, images, how, progress)
    picture_set = readable.identity(set_name(root))
    if how.calibrate:
        bundle = _calibrated(bundle, found.accuracy, picture_set)
    if how.confusion is not None:
        draw_confusion(*found.accuracy.used_confusion, Path(how.confusion))
    return EvaluationResult(
        bundle=bundle,
        variant=how.variant,
        data=data,
        accuracy=found.accuracy,
        picture_set=picture_set,
        runtime=runtime_label(bundle, how.variant),
        threads=how.threads,
        inference_seconds=found.inference_seconds,
        total_seconds=found.total_seconds,
        left_out={reason: len(files) for reason, files in images.left_out.items()},
    )


def _answered(
    bundle: Bundle, images: LabelledImages, how: _How, progress: Progress
) -> tuple[LabelledImages, Evaluation]:
    """The pictures that could be read, and the answers to them."""
    if how.engine is not None and how.engine.name != "local":
        from edgevit.workflows.sets.evaluate_set import evaluate_set

        return evaluate_set(
            bundle, images, how.variant, how.threads, how.skip_corrupt, how.engine, progress
        )
    from edgevit_runtimes.backends.classifier import BundleClassifier
    from edgevit_runtimes.selection.evaluate import evaluate as answer_folder

    with BundleClassifier(bundle, how.variant, how.threads) as classifier:
        readable = images.readable(how.skip_corrupt, how.threads, progress)
        return readable, answer_folder(classifier, readable, progress)


def _calibrated(bundle: Bundle, accuracy: Accuracy, pictures: PictureSet) -> Bundle:
    report = fitted(accuracy.logits, accuracy.labels, pictures)
    if report is None:
        raise InputError(
            f"--calibrate needs {LEAST_IMAGES} images or more, some of them answered wrong; got "
            f"{len(accuracy.labels)}, {accuracy.top1.right} of them right. Give others."
        )
    return with_confidence(bundle, report)
