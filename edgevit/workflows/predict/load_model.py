"""A model by its name in the zoo, or by its bundle's path, ready for use."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevit.bundle.bundle import MANIFEST_FILE, Bundle, is_onnx_file
from edgevit.common.errors import BundleError, InputError
from edgevit.common.libraries import require_modules
from edgevit.common.storage.cache import cache_folder
from edgevit.common.storage.hashes import checked_sha256
from edgevit.common.version import __version__
from edgevit.workflows.export import MODULES
from edgevit.workflows.export import export as _export_model
from edgevit.workflows.importing.import_model import export_module
from edgevit.workflows.importing.import_model import import_onnx as _import_model
from edgevit.workflows.predict.loaded_model import Model
from edgevit.zoo import DEFAULT_MODEL, PREBUILT_BUNDLE
from edgevit.zoo.registry import MODELS, ModelEntry, did_you_mean, find

if TYPE_CHECKING:
    from torch import nn

_SUFFIX = ".edgevit"
_EXPORTING = threading.Lock()  # other processes are kept out by the folder's lock
_PARITY_PICTURES = 8


def load(
    name_or_path: str | os.PathLike[str], variant: str | None = None, threads: int = 1
) -> Model:
    """Opens a model for use.

    Args:
        name_or_path: a bundle's path, or the name of a model whose weights edgevit ships
            (``edgevit models`` lists them). ``lla_tiny`` comes as a bundle; the others are exported
            once, into the user's cache, which needs the extra ``export``.
        variant: which form of the model; None: the one chosen for this machine.
        threads: threads inside an operator.

    Raises:
        InputError: it is neither a name nor a path, or the model has no shipped weights.
        BundleError: the bundle is damaged, from a newer edgevit, or has no such variant.
        MissingExtraError: the model must be exported first, and that extra is not installed.
    """
    return Model(_bundle(name_or_path), variant, threads)


def export(
    model: str | nn.Module,
    output: str | os.PathLike[str] | None = None,
    *,
    example: Any = None,
    **options: Any,
) -> Model:
    """Exports a model, and opens the bundle for use.

    Args:
        model: a name of the zoo, or a torch module: one that was built from the zoo, or with
            ``example`` any classifier.
        output: the bundle's folder; by default ``NAME.edgevit`` in the working folder.
        example: an input of a module, such as ``torch.zeros(1, 3, 224, 224)``.
        options: those of :func:`edgevit.workflows.export.export`, such as ``checkpoint``,
            ``classes``, ``batch``, ``parity_images`` and ``force``; with ``example`` those of
            :func:`edgevit.workflows.importing.import_model.import_onnx`. They also list the errors.
    """
    target = None if output is None else Path(output)
    if example is None:
        return Model(_export_model(model, target, **options).bundle)
    if isinstance(model, str):
        raise InputError(
            f"Got the name '{model}' and an example; an example is for a torch module. Leave it "
            "out."
        )
    return Model(export_module(model, example, target, **options).bundle)


def import_onnx(
    file: str | os.PathLike[str], output: str | os.PathLike[str] | None = None, **options: Any
) -> Model:
    """Makes a bundle of an ONNX classifier, and opens it for use.

    Args:
        file: the ONNX model.
        output: the bundle's folder; by default ``NAME.edgevit`` in the working folder.
        options: those of :func:`edgevit.workflows.importing.import_model.import_onnx`, such as
            ``classes``, ``preprocess`` and ``resize``; it also lists the errors.
    """
    target = None if output is None else Path(output)
    return Model(_import_model(Path(file), target, **options).bundle)


def _bundle(name_or_path: str | os.PathLike[str]) -> Bundle:
    if not isinstance(name_or_path, str | os.PathLike):
        raise InputError(
            "edgevit.load takes a model's name or a bundle's path; got "
            f"{type(name_or_path).__name__}."
        )
    path = Path(name_or_path)
    if not isinstance(name_or_path, str) or _names_path(name_or_path):
        return Bundle.open(path)
    if name_or_path == DEFAULT_MODEL:
        return Bundle.open(PREBUILT_BUNDLE)
    if name_or_path.partition(":")[0] in MODELS:
        return _exported(find(name_or_path))
    raise _unknown(name_or_path)


def _names_path(text: str) -> bool:
    path = Path(text)
    named = path.suffix == _SUFFIX or is_onnx_file(path)
    return len(path.parts) > 1 or named or (path / MANIFEST_FILE).is_file()


def _unknown(text: str) -> InputError:
    found = "is there, but no bundle, and no model's name" if text and Path(text).exists() else ""
    return InputError(
        f"'{text}' {found or 'is neither the name of a model nor a path'}.{did_you_mean(text)} "
        f"'edgevit models' lists the names; a bundle is a folder NAME{_SUFFIX}."
    )


def _exported(entry: ModelEntry) -> Bundle:
    """The bundle of shipped weights, from the cache; the first time it is exported there."""
    name = entry.spec.name
    if entry.weights is None:
        shipped = ", ".join(name for name, other in MODELS.items() if other.weights)
        raise InputError(
            f"edgevit ships no weights of {name}; it does of {shipped}. Train it ('edgevit train') "
            f"and export it ('edgevit export --model {name} --checkpoint FILE'), then load the "
            "bundle's path."
        )
    target = _cached(entry.weights, entry.file_stem)
    with _EXPORTING:
        return _whole(target) or _export(entry, target)


def _whole(path: Path) -> Bundle | None:
    """The bundle, if it is there and no file of it is damaged."""
    try:
        bundle = Bundle.open(path)
    except BundleError:
        return None
    return None if any(map(bundle.damage, bundle.manifest.files)) else bundle


def _cached(weights: Path, stem: str) -> Path:
    """Another version of edgevit, or other weights, are another place."""
    digest = checked_sha256(weights)[:16]
    return cache_folder() / "models" / f"{stem}-{__version__}-{digest}{_SUFFIX}"


def _export(entry: ModelEntry, target: Path) -> Bundle:
    """Checked against torch, as every export is."""
    require_modules(f"Loading {entry.name} for the first time", "export", MODULES)
    return _export_model(
        entry.name, target, batch=None, parity_count=_PARITY_PICTURES, force=True
    ).bundle
