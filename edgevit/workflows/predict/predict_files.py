"""Many picture files: an answer for each that can be read, annotated copies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgevit.bundle.model_notes import knowledge
from edgevit.common.errors import InputError
from edgevit.common.storage.files import resolved
from edgevit.results.prediction import FilePredictions, Prediction
from edgevit.workflows.predict.loaded_model import Model
from edgevit.workflows.predict.pictures import AS_IT_IS, ReadOptions, from_file
from edgevit_runtimes.sources.capture_request import Orientation


def predict_files(
    model: Model,
    files: Sequence[Path],
    *,
    top: int,
    orientation: Orientation = AS_IT_IS,
    save: Path | None = None,
) -> FilePredictions:
    """Answers every picture; one that cannot be read does not stop the others.

    Args:
        save: writes the pictures with their superpixels and answers: a folder, or a file's name for
            a single picture.

    Raises:
        InputError: annotated pictures would overwrite each other or a source, or cannot be written.
    """
    targets = _targets(files, save)
    failed: dict[str, str] = {}
    predictions: list[Prediction] = []
    for file in files:
        try:
            picture = from_file(file, ReadOptions(orientation=orientation))
        except InputError as error:
            failed[str(file)] = str(error)
            continue
        predictions += model.predictions(iter([picture]), top)
    return FilePredictions(
        model=model.name,
        bundle=model.bundle.path,
        variant=model.variant,
        trained=model.bundle.manifest.model.trained,
        predictions=predictions,
        saved=_save(predictions, targets),
        failed=failed,
        knows=knowledge(model.bundle),
    )


def _targets(files: Sequence[Path], save: Path | None) -> dict[str, Path]:
    """Where each annotated picture goes: the file itself, or NAME.png in a folder."""
    if save is None:
        return {}
    is_file = bool(save.suffix) and not save.is_dir()
    if is_file and len(files) > 1:
        raise InputError(f"--output {save} is one file for {len(files)} pictures. Name a folder.")
    targets = [save] if is_file else [save / f"{file.stem}.png" for file in files]
    if len(set(targets)) < len(targets):
        raise InputError(f"Several pictures have the same name; {save} can hold only one of each.")
    sources = {resolved(file) for file in files}
    if own := [target for target in targets if resolved(target) in sources]:
        raise InputError(
            f"--output would overwrite the picture {own[0]} itself. Name another place."
        )
    return dict(zip(map(str, files), targets, strict=True))


def _save(predictions: Sequence[Prediction], targets: dict[str, Path]) -> dict[str, Path]:
    saved = {}
    for prediction in predictions if targets else ():
        target = targets[prediction.source]
        prediction.plot(target)
        saved[prediction.source] = target
    return saved
