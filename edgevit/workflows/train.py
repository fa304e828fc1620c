"""Weights from a folder of pictures."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import InputError, raised_alike
from edgevit.common.libraries import require_modules
from edgevit.common.progress import Progress, SilentProgress
from edgevit.common.result import PlannedWork, Result
from edgevit.common.tables import Section, Table, counted
from edgevit.images.data_folders import training_folders
from edgevit.images.image_folder import ImageFolder, refuse_same_pictures
from edgevit.images.labelled_images import LabelledImages
from edgevit.images.shards.open_labelled import open_labelled
from edgevit.images.training_split import write_split
from edgevit.workflows.dense.dense_run import DenseRun, SetSizes
from edgevit.workflows.dense.train_detector import (
    DetectionTrainResult,
    detection_recipe,
    detector_sizes,
    train_detector,
)
from edgevit.workflows.dense.train_segmenter import (
    SegmentationData,
    SegmentationTrainResult,
    segmentation_recipe,
    segmenter_sizes,
    train_segmenter,
)
from edgevit.zoo import DEFAULT_MODEL
from edgevit.zoo.input_options import Channels, InputOptions
from edgevit.zoo.registry import ModelEntry, find

if TYPE_CHECKING:
    from edgevit.training.distributed.processes import Processes
    from edgevit.training.recipe import Recipe
    from edgevit.zoo.spec import ModelSpec

_HELD_OUT_SHARE = 0.1
_MODULES = ("torch", "safetensors", "matplotlib")


@dataclass(frozen=True)
class TrainResult(Result):
    """model: its name. weights: float16 safetensors of the best epoch, in the folder ``run``.

    top1: its accuracy on the validation images, 0 to 1. device: ``cpu`` or ``cuda``.
    zoo_model: the model whose size was changed for training, if it was.
    processes: that trained together. is_first_process: whether this one wrote the files.
    """

    model: str
    zoo_model: str
    weights: Path
    run: Path
    top1: float
    epochs: int
    seconds: float
    training_images: int
    validation_images: int
    device: str
    processes: int = 1
    is_first_process: bool = True

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "weights": str(self.weights),
            "run": str(self.run),
            "top1": round(self.top1, 5),
            "epochs": self.epochs,
            "seconds": round(self.seconds, 1),
            "training_images": self.training_images,
            "validation_images": self.validation_images,
            "device": self.device,
            "processes": self.processes,
            "next": self._next,
        }

    def sections(self) -> list[Section]:
        took = f"{counted(self.epochs, 'epoch')}, {self.seconds:.0f} s"
        rows = [
            ("weights", str(self.weights)),
            (
                "best top-1",
                f"{100 * self.top1:.2f} % of {self.validation_images} validation images",
            ),
            ("training", f"{self.training_images} images, {took}"),
            ("curves", str(self.run / "curves.png")),
            ("next", self._next),
        ]
        where = f" in {self.processes} processes" if self.processes > 1 else ""
        return [Table(f"trained {self.model} on {self.device}{where}", ("", ""), rows)]

    @property
    def _next(self) -> str:
        """Weights of another size are a start, not a model to export."""
        weights = quote(str(self.weights))
        if self.model != self.zoo_model:
            return f"edgevit train --model {self.zoo_model} --init {weights} --data IMAGES"
        return f"edgevit export --model {self.model} --checkpoint {weights}"


def train(
    model: str = DEFAULT_MODEL,
    *,
    data: Path | str,
    val_data: Path | str | None = None,
    output: Path | str | None = None,
    recipe: Recipe | None = None,
    teacher: str | Path | None = None,
    init: Path | str | None = None,
    weights_key: str | None = None,
    image_px: int | None = None,
    preprocess: str | None = None,
    mean: Channels | None = None,
    std: Channels | None = None,
    scale: float | None = None,
    resize: str | None = None,
    crop_pct: float | None = None,
    skip_corrupt: bool = False,
    resume: bool = False,
    save_every: int = 0,
    device: str = "auto",
    threads: int | None = None,
    void: int | None = None,
    classes: Path | str | None = None,
    progress: Progress | None = None,
    **recipe_options: Any,
) -> TrainResult | DetectionTrainResult | SegmentationTrainResult:
    """Trains a model of the zoo; leaves ``MODEL.safetensors`` for export, and ``split.json``.

    Started by torchrun it trains in all of its processes together: the same result as one process
    with N times the batch. The first one alone writes files and progress.

    Args:
        data: one folder of pictures for every class, or tar and zip archives
            (:mod:`edgevit.images.shards.image_shards`); or a folder with such as ``train`` and
            ``val``. Of a detector: pictures with boxes, Pascal VOC or COCO.
        val_data: validation pictures; by default ``DATA/val``, or a tenth of ``data``.
        output: the run's folder, by default ``runs/MODEL``.
        recipe: all numbers of the training; by default those of
            :class:`edgevit.training.recipe.Recipe`.
        recipe_options: fields of the recipe that differ from it, such as ``epochs=20``.
        teacher: distil from a bundle that knows the classes, or from ``efficientnet_lite0``.
        init: start from these weights, of any image size and classes: a file, or weights that the
            package ships, ``MODEL`` or ``MODEL:WEIGHTS``.
        weights_key: of an ``init`` with several sets of weights, which to take; by default their
            moving average, if there is one.
        image_px: train at another size, as a start for ``init``.
        preprocess: how pixels are normalised, as a preset; see :func:`edgevit.import_onnx`. By
            default as ``init`` says, or as ImageNet's.
        mean: the same as numbers. std: likewise. scale: likewise.
        resize: how validation pictures get the model's size; see there. The weights keep all of
            this, and ``edgevit export`` obeys it.
        crop_pct: how much of a picture a crop takes; see there.
        skip_corrupt: leave damaged pictures out, and say which, instead of stopping.
        resume: go on exactly where the run stopped. Done by itself where torchrun starts the
            processes again after one of them ended.
        save_every: save the state after so many steps too, and not only after every epoch.
        device: ``auto``, ``cpu`` or ``cuda``. threads: of torch and of the loader.
        void: of a segmentation model (``data`` then holds ``images`` and ``labels``), a label that
            is not counted, beside 255. Its recipe is
            :class:`edgevit.training.dense.segmentation_recipe.SegmentationRecipe`.
        classes: of the same, a file with the names of the classes, a line each; by default
            ``DATA/classes.txt``.

    Raises:
        MissingExtraError: torch is not installed.
        InputError: data, recipe, teacher or weights cannot be used.
        ProcessLostError: another process of the run ended.
        TrainingInterruptedError: on Ctrl-C, after the state was saved.
    """
    require_modules("edgevit train", "train", _MODULES)
    from edgevit.models.checkpoint import input_stated_in
    from edgevit.training.distributed.processes import joined
    from edgevit.training.hardware import prepare

    progress = progress or SilentProgress()
    with raised_alike():
        _refuse_key_without_weights(weights_key, init)
        entry, spec = _trained_model(model, image_px)
        start = None if init is None else _initial_weights(init)
        options = InputOptions(preprocess, mean, std, scale, resize, crop_pct)
        options.check()
        run = Path(output) if output else Path("runs") / spec.name
        if spec.task != "classification":
            _refuse_recipe(teacher, recipe)
            _refuse_for_dense(options, save_every)
            where = DenseRun(
                spec, run, start or _usual_start(entry), weights_key, resume, device, threads
            )
            labelled = _labelled(data, val_data, void, classes, skip_corrupt)
            return _train_dense(where, labelled, recipe_options, progress)
        _refuse_mask_options(void, classes)
        start_says = InputOptions() if start is None else input_stated_in(start)
        spec = options.applied_to(start_says.applied_to(spec))
        chosen = _recipe(recipe, recipe_options)
        device, loader_threads = prepare(device, threads)
    with joined(device) as processes:
        return _together(
            _Plan(
                model=model,
                spec=spec,
                recipe=replace(chosen, batch=chosen.batch * processes.count),
                data=Path(data),
                val_data=None if val_data is None else Path(val_data),
                run=run,
                teacher=None if teacher is None else str(teacher),
                init=start,
                weights_key=weights_key,
                skip_corrupt=skip_corrupt,
                save_every=save_every,
                device=device,
                threads=loader_threads,
            ),
            processes,
            progress if processes.is_first else SilentProgress(),
            resume,
        )


@dataclass(frozen=True)
class _Plan:
    """What was asked for, checked; the recipe's batch is that of all processes."""

    model: str
    spec: ModelSpec
    recipe: Recipe
    data: Path
    val_data: Path | None
    run: Path
    teacher: str | None
    init: Path | None
    weights_key: str | None
    skip_corrupt: bool
    save_every: int
    device: str
    threads: int


def _together(plan: _Plan, processes: Processes, progress: Progress, resume: bool) -> TrainResult:
    from edgevit.training.loop import TrainingJob
    from edgevit.training.loop import train as run_training
    from edgevit.training.state import STATE_FILE
    from edgevit.workflows.teacher_bundle import open_teacher

    with raised_alike():
        training, validation = (
            images.readable(plan.skip_corrupt, plan.threads, progress, processes)
            for images in _image_sets(plan.data, plan.val_data, plan.recipe.seed, progress)
        )
        _refuse_uneven_parts(plan.recipe, len(training), processes.count)
    if processes.restart:  # torchrun gives the same options again
        resume = processes.from_first((plan.run / STATE_FILE).is_file)
    with (
        open_teacher(plan.teacher, plan.threads, progress) if plan.teacher else nullcontext()
    ) as opened:
        job = TrainingJob(
            spec=plan.spec,
            training=training,
            validation=validation,
            recipe=plan.recipe,
            run=plan.run,
            device=plan.device,
            threads=plan.threads,
            teacher=opened,
            init=plan.init,
            weights_key=plan.weights_key,
            processes=processes,
            save_every=plan.save_every,
        )
        trained = run_training(job, progress, resume)
    if processes.is_first:
        write_split(training, validation, trained.weights, plan.run)
    return TrainResult(
        model=plan.spec.name,
        zoo_model=plan.model,
        weights=trained.weights,
        run=plan.run,
        top1=trained.top1,
        epochs=trained.epochs,
        seconds=trained.seconds,
        training_images=len(training),
        validation_images=len(validation),
        device=plan.device,
        processes=processes.count,
        is_first_process=processes.is_first,
    )


def _refuse_uneven_parts(recipe: Recipe, images: int, processes: int) -> None:
    """Every process must have the same number of images, and pairs that are mixed whole."""
    if processes == 1:
        return
    each = recipe.batch // processes
    if recipe.mix and each % 2:
        raise InputError(
            f"--batch {each} is odd, and images are mixed in pairs. Use --batch {each + 1}, or "
            "--mix-probability 0."
        )
    if images < recipe.batch:
        raise InputError(
            f"{processes} processes with --batch {each} take {recipe.batch} images a step, and "
            f"there are {images} training images. Use a smaller --batch or fewer processes."
        )


def plan_training(
    model: str = DEFAULT_MODEL,
    *,
    data: Path | str,
    val_data: Path | str | None = None,
    output: Path | str | None = None,
    init: Path | str | None = None,
    weights_key: str | None = None,
    teacher: str | Path | None = None,
    image_px: int | None = None,
    void: int | None = None,
    classes: Path | str | None = None,
    progress: Progress | None = None,
    **recipe_options: Any,
) -> PlannedWork:
    """What :func:`train` would do with the same arguments; pictures are listed, not decoded.

    Raises:
        InputError: as :func:`train`, for what these arguments say.
    """
    require_modules("edgevit train", "train", _MODULES)
    from edgevit.models.checkpoint import read_checkpoint

    progress = progress or SilentProgress()
    _refuse_key_without_weights(weights_key, init)
    entry, spec = _trained_model(model, image_px)
    start = None if init is None else _initial_weights(init)
    if spec.task != "segmentation":
        _refuse_mask_options(void, classes)
    if spec.task == "classification":
        recipe = _recipe(None, recipe_options)
        sets = _image_sets(
            Path(data), None if val_data is None else Path(val_data), recipe.seed, progress
        )
        images, held_out = map(len, sets)
        sizes = SetSizes(len(sets[0].classes), images, held_out, recipe.epochs, recipe.batch)
        _refuse_teacher(teacher)
    else:
        _refuse_recipe(teacher, None)
        start = start or _usual_start(entry)
        labelled = _labelled(data, val_data, void, classes, skip_corrupt=False)
        sizes = _dense_sizes(spec, labelled, recipe_options, progress)
    if start is not None:
        read_checkpoint(start, weights_key)  # refuses what is no file of weights
    planned = {
        "model": spec.name,
        "start": "random weights" if start is None else str(start),
        **sizes.described(),
        "output": str(Path(output) if output else Path("runs") / spec.name),
    }
    return PlannedWork("train", planned)


def _refuse_teacher(teacher: str | Path | None) -> None:
    from edgevit.workflows.teacher_bundle import EFFICIENTNET

    if teacher is not None and str(teacher) != EFFICIENTNET:
        Bundle.open(Path(teacher))


def _dense_sizes(
    spec: ModelSpec, labelled: SegmentationData, options: dict[str, Any], progress: Progress
) -> SetSizes:
    if spec.task == "segmentation":
        return segmenter_sizes(labelled, segmentation_recipe(options), progress)
    recipe = detection_recipe(options)
    return detector_sizes(labelled.data, labelled.val_data, recipe, progress)


def _labelled(
    data: Path | str,
    val_data: Path | str | None,
    void: int | None,
    classes: Path | str | None,
    skip_corrupt: bool,
) -> SegmentationData:
    val_path, names = (None if path is None else Path(path) for path in (val_data, classes))
    return SegmentationData(Path(data), val_path, void, names, skip_corrupt)


def _train_dense(
    where: DenseRun, labelled: SegmentationData, options: dict[str, Any], progress: Progress
) -> DetectionTrainResult | SegmentationTrainResult:
    """A model that answers about places, by its task."""
    if where.spec.task == "segmentation":
        return train_segmenter(where, labelled, segmentation_recipe(options), progress)
    _refuse_mask_options(labelled.void, labelled.classes)
    recipe = detection_recipe(options)
    return train_detector(where, labelled.data, labelled.val_data, recipe, progress)


def _refuse_mask_options(void: int | None, classes: Path | str | None) -> None:
    if void is not None or classes is not None:
        raise InputError("--void and --classes are for models that give masks. Leave them out.")


def _refuse_for_dense(options: InputOptions, save_every: int) -> None:
    from edgevit.training.distributed.processes import under_torchrun

    if options != InputOptions():
        raise InputError("How pictures are normalised and fitted is stated for classifiers alone.")
    if save_every:
        raise InputError("--checkpoint-every is for classifiers; these save after every epoch.")
    if under_torchrun():
        raise InputError("torchrun trains classifiers in several processes; this model in one.")


def _refuse_recipe(teacher: str | Path | None, recipe: Recipe | None) -> None:
    if teacher is not None:
        raise InputError("--teacher is for classifiers; this model learns from its labels.")
    if recipe is not None:
        raise InputError("A Recipe is for classifiers; give its fields, such as epochs=20.")


def _usual_start(entry: ModelEntry) -> Path | None:
    """The shipped weights of the backbone, where they are installed."""
    weights = find(entry.starts_from).weights if entry.starts_from else None
    return weights if weights is not None and weights.is_file() else None


def _trained_model(model: str, image_px: int | None) -> tuple[ModelEntry, ModelSpec]:
    """What the zoo has of the name, and its specification at the size."""
    entry = find(model)
    if entry.chosen is not None:
        raise InputError(
            f"'{model}' names weights, but --model names what is trained. Use "
            f"--model {entry.spec.name} --init {model}."
        )
    if image_px is None or image_px == entry.spec.image_px:
        return entry, entry.spec
    return entry, entry.spec.at_size(image_px)


def _initial_weights(init: Path | str) -> Path:
    """A file, or the name of weights that the package ships."""
    path = Path(init)
    if path.exists() or path.suffix or len(path.parts) > 1:
        return path
    entry = find(str(init))
    if entry.weights is None:
        raise InputError(f"edgevit ships no weights of {init}. Give a file, or other weights.")
    return entry.weights


def _refuse_key_without_weights(weights_key: str | None, init: Path | str | None) -> None:
    if weights_key is not None and init is None:
        raise InputError("--weights-key chooses among the weights in --init. Give one.")


def _recipe(recipe: Recipe | None, options: dict[str, Any]) -> Recipe:
    from edgevit.training.recipe import Recipe

    known = {field.name for field in fields(Recipe)}
    if unknown := sorted(set(options) - known):
        raise InputError(
            f"A recipe has no {', '.join(unknown)}; it has {', '.join(sorted(known))}."
        )
    return replace(recipe or Recipe(), **options)


def _image_sets(
    data: Path, val_data: Path | None, seed: int, progress: Progress
) -> tuple[LabelledImages, LabelledImages]:
    """(training, validation); no picture is in both."""
    everything, validation_folder = training_folders(data, val_data)
    _refuse_dense_data(everything)
    training = open_labelled(everything, progress)
    if validation_folder is None:
        progress.line(f"no validation images given: a tenth of {everything} is held out")
        return training.hold_out(_HELD_OUT_SHARE, seed)
    validation = open_labelled(validation_folder, progress)
    _refuse_shared(training, validation)
    return training, validation


def _refuse_dense_data(folder: Path) -> None:
    """Two folders that are no classes: the pictures, and what is said of them."""
    found = {each.name for each in folder.iterdir() if each.is_dir()} if folder.is_dir() else set()
    for name, kind in (("labels", "segmentation model"), ("annotations", "detector")):
        if found == {"images", name}:
            raise InputError(
                f"{folder} holds data for a {kind} (the folders images and {name}), and this model "
                "is a classifier, which takes one folder for each class. Name another --model; "
                "'edgevit models' lists them."
            )


def _refuse_shared(training: LabelledImages, validation: LabelledImages) -> None:
    """Files are compared by their contents, archives by what is listed in them."""
    what = "of the validation images are among the training images"
    remedy = (
        "A model must be validated on images that it was not trained on. Give others, or leave out "
        "--val-data and a tenth is held out."
    )
    if isinstance(training, ImageFolder) and isinstance(validation, ImageFolder):
        refuse_same_pictures(training, validation, what, remedy)
    elif training.fingerprint == validation.fingerprint:
        raise InputError(f"All {what}. {remedy}")
