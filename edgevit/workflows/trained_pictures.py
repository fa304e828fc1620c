"""What a bundle knows of the pictures that its model was trained on."""

from __future__ import annotations

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import InputError
from edgevit.common.progress import Progress
from edgevit.images.image_folder import ImageFolder
from edgevit.images.labelled_images import LabelledImages
from edgevit.images.training_split import (
    SPLIT_FILE,
    AnyFiles,
    PictureFiles,
    TrainingSplit,
    read_split,
)

ALL, HELD_OUT = "all", "held-out"


def split_of(bundle: Bundle) -> TrainingSplit | None:
    """None where its weights came without one."""
    if SPLIT_FILE not in bundle.manifest.files:
        return None
    return read_split(bundle.file(SPLIT_FILE))


def chosen_part(
    bundle: Bundle, folder: LabelledImages, split: str, progress: Progress
) -> LabelledImages:
    """As :func:`chosen_files`; pictures in archives are all there are."""
    if isinstance(folder, ImageFolder):
        return chosen_files(bundle, folder, split, progress)
    if split == HELD_OUT:
        raise InputError(f"--split {HELD_OUT} knows image files; got archives. Unpack them first.")
    _refuse_split(split)
    return folder


def chosen_files(bundle: Bundle, folder: AnyFiles, split: str, progress: Progress) -> AnyFiles:
    """All pictures of a folder, with a warning of those trained on; or those that were held out.

    Args:
        split: ``all`` or ``held-out``.

    Raises:
        InputError: the bundle does not know which were held out, or they are not in the folder.
    """
    _refuse_split(split)
    if split == ALL:
        warn_of_trained(bundle, folder, progress)
        return folder
    known = split_of(bundle)
    if known is None:
        raise InputError(
            f"{bundle.path} does not say which images were held out. Bundles exported from weights "
            f"of 'edgevit train', with the {SPLIT_FILE} beside them, do."
        )
    return known.held_out_of(folder)


def _refuse_split(split: str) -> None:
    if split not in (ALL, HELD_OUT):
        raise InputError(f"--split is {ALL} or {HELD_OUT}; got '{split}'.")


def warn_of_trained(bundle: Bundle, folder: PictureFiles, progress: Progress) -> None:
    """Says how many pictures that are to measure accuracy the model was trained on."""
    known = split_of(bundle)
    trained = known.trained_in(folder) if known else []
    if trained:
        progress.line(
            f"warning: the model was trained on {len(trained)} of the {len(folder)} images that "
            f"measure accuracy, such as {trained[0].name}: it will look better than it is"
        )
