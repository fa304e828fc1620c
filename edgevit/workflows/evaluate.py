"""How often a deployed model is right: its answers to a folder of labelled pictures."""

from __future__ import annotations

from pathlib import Path

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import InputError
from edgevit.common.progress import Progress, SilentProgress
from edgevit.common.result import Result
from edgevit.images.image_folder import open_image_folder
from edgevit.images.picture_set import set_name
from edgevit.results.evaluation import EvaluationResult
from edgevit.results.plots import check_picture, draw_confusion
from edgevit.workflows.dense.evaluate_detector import evaluate_detector
from edgevit.workflows.dense.evaluate_masks import MaskEvaluation, evaluate_masks
from edgevit.workflows.trial.trial_opening import try_untrusted


def evaluate(
    bundle: Bundle,
    data: Path | str,
    *,
    variant: str | None = None,
    threads: int = 1,
    skip_corrupt: bool = False,
    confusion: Path | str | None = None,
    void: int | None = None,
    progress: Progress | None = None,
) -> Result:
    """Answers every picture of a folder in the runtime in which the model is deployed.

    Args:
        data: a folder with one folder of pictures for every class, or one that has such a folder
            as ``val``. Class names must be the model's. Of a segmentation model: a folder with
            ``images`` and ``labels``. Of a detector: pictures with boxes, Pascal VOC or COCO.
        variant: by default the one that is chosen for this machine.
        skip_corrupt: leave damaged pictures out, and say which, instead of stopping.
        void: of a segmentation model, a label that is not counted, beside 255; by default the one
            that it was trained without.
        confusion: draw the confusion matrix into this .png, .svg or .pdf.

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
    if task == "segmentation":
        if confusion is not None:
            raise InputError("--confusion draws the classes of pictures; this model gives masks.")
        try_untrusted(bundle, [used], progress)
        masks = MaskEvaluation(used, threads, void, skip_corrupt)
        return evaluate_masks(bundle, Path(data), masks, progress)
    if void is not None:
        raise InputError(f"--void is for models that give masks; this one's task is {task}.")
    if task == "detection":
        if confusion is not None:
            raise InputError("--confusion draws the classes of pictures; this model gives boxes.")
        return evaluate_detector(bundle, Path(data), used, threads, progress)
    return _of_classifier(bundle, Path(data), used, threads, skip_corrupt, confusion, progress)


def _of_classifier(
    bundle: Bundle,
    data: Path,
    variant: str,
    threads: int,
    skip_corrupt: bool,
    confusion: Path | str | None,
    progress: Progress,
) -> EvaluationResult:
    from edgevit_runtimes.backends.classifier import BundleClassifier
    from edgevit_runtimes.bench.conditions import runtime_label
    from edgevit_runtimes.selection.evaluate import evaluate as answer_folder

    if confusion is not None:
        check_picture("--confusion", Path(confusion))
    root = data / "val" if (data / "val").is_dir() else data
    folder = open_image_folder(root, progress)
    try_untrusted(bundle, [variant], progress)
    with BundleClassifier(bundle, variant, threads) as classifier:
        readable = folder.readable(skip_corrupt, threads, progress)
        found = answer_folder(classifier, readable, progress)
        used = classifier.variant
    if confusion is not None:
        draw_confusion(*found.accuracy.used_confusion, Path(confusion))
    return EvaluationResult(
        bundle=bundle,
        variant=used,
        data=data,
        accuracy=found.accuracy,
        picture_set=readable.identity(set_name(root)),
        runtime=runtime_label(bundle, used),
        threads=threads,
        inference_seconds=found.inference_seconds,
        total_seconds=found.total_seconds,
        left_out={reason: len(files) for reason, files in folder.left_out.items()},
    )
