"""INT8 and FP16 variants that keep their accuracy, and whether they are worth using."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from edgevit.bundle.bundle import FLOAT_VARIANT, Bundle
from edgevit.bundle.edit import refuse_unwritable
from edgevit.bundle.variant_names import HALF_VARIANT, int8_variant
from edgevit.common.errors import InputError
from edgevit.common.libraries import is_installed, require_modules
from edgevit.common.progress import Progress, SilentProgress
from edgevit.common.result import PlannedWork, Result
from edgevit.common.schema import to_plain
from edgevit.common.tables import Section
from edgevit.results.bundle_summary import accuracy_notes, variants_table
from edgevit.results.plots import check_picture, draw_trade_off
from edgevit.workflows.dense.gate_boxes import gate_boxes
from edgevit.workflows.dense.gate_masks import gate_masks
from edgevit.workflows.trained_pictures import warn_of_trained
from edgevit.workflows.trial.trial_opening import try_untrusted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgevit.images.image_folder import ImageFolder
    from edgevit.inference.calibration import Pictures
    from edgevit.inference.runner import OpenRunner, Runner
    from edgevit_export.quantize.search import Found
    from edgevit_runtimes.selection.verdict import Verdict

ALL_TARGETS = "all"
_NATIVE = "native"
_MODULES = ("onnx", "onnx_ir")


@dataclass(frozen=True)
class QuantizeResult(Result):
    """The bundle with its new variants, and for every target whether INT8 is worth using."""

    bundle: Bundle
    verdicts: tuple[Verdict, ...]

    def to_dict(self) -> dict[str, Any]:
        manifest = self.bundle.manifest
        return {
            "bundle": str(self.bundle.path),
            "chosen": dict(manifest.chosen),
            "verdicts": [asdict(verdict) for verdict in self.verdicts],
            "variants": {name: to_plain(variant) for name, variant in manifest.variants.items()},
        }

    def sections(self) -> list[Section]:
        table = variants_table(str(self.bundle.path), self.bundle)
        notes = accuracy_notes(self.bundle)
        return [table, *notes, *(verdict.text for verdict in self.verdicts)]


def quantize(
    bundle: Bundle,
    calibration: Path | str,
    evaluation: Path | str | None = None,
    *,
    targets: Sequence[str] | None = None,
    images: int = 256,
    max_drop: float = 0.5,
    method: str = "auto",
    plot: Path | str | None = None,
    force: bool = False,
    seed: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> QuantizeResult:
    """Adds INT8 and FP16 variants to a bundle, measures their accuracy and, here, their speed.

    Args:
        calibration: labelled pictures, one folder a class, from which ranges are taken; of a
            segmentation model a folder with ``images`` and ``labels``.
        evaluation: other labelled pictures, to measure accuracy on; by default half of
            ``calibration``, and the other half calibrates.
        targets: ``onnxruntime-x86``, ``onnxruntime-x86-avx2``, ``onnxruntime-arm``, ``openvino``,
            ``tensorrt``, ``native``, or only ``all``; by default this machine's and ``tensorrt``.
        images: how many pictures calibrate, at least 8.
        max_drop: points that may be lost: of top-1 accuracy, or of mIoU.
        method: ``minmax``, ``percentile``, ``entropy``, ``mse``, or ``auto`` for the best of them.
        plot: draw accuracy against layers kept in float into this .png, .svg or .pdf.
        force: replace variants that the bundle has.
        seed: of the choice of pictures.

    Raises:
        MissingExtraError: onnx is not installed.
        InputError: a target, method or folder cannot be used, or folders overlap.
        CheckFailedError: the model of an untrusted bundle does not pass its trial.
    """
    require_modules("edgevit quantize", "export", _MODULES)
    from edgevit_export.quantize.quantize_pipeline import QuantizeRequest, quantize_bundle
    from edgevit_runtimes.devices.target import this_target

    progress = progress or SilentProgress()
    refuse_unwritable(bundle)
    wanted = _targets(targets, this_target())
    _check_method(method)
    if plot is not None:
        check_picture("--plot", Path(plot))
    calibrating, evaluating, labels = _labelled(
        bundle, Path(calibration), evaluation, images, seed, progress
    )
    try_untrusted(bundle, [FLOAT_VARIANT], progress)
    request = QuantizeRequest(
        bundle=bundle,
        targets=wanted,
        measured=_targets_here(),
        alternatives_for=this_target() if this_target() in wanted else None,
        calibrating=calibrating,
        evaluation=evaluating,
        labels=labels,
        max_drop=max_drop,
        method=method,
        seed=seed,
        evaluation_name=_evaluation_name(Path(calibration), evaluation, seed),
        replace_variants=force,
    )
    bundle, found = quantize_bundle(request, _runners(threads), progress)
    bundle, verdicts = _verdicts(bundle, wanted)
    if plot is not None:
        _draw(found, Path(plot), f"{len(labels)} images of {request.evaluation_name}")
    return QuantizeResult(bundle, tuple(verdicts))


def plan_quantization(
    bundle: Bundle,
    calibration: Path | str,
    evaluation: Path | str | None = None,
    *,
    targets: Sequence[str] | None = None,
    images: int = 256,
    force: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> PlannedWork:
    """What :func:`quantize` would do with the same arguments; no image is decoded.

    Raises:
        InputError: as :func:`quantize`.
    """
    require_modules("edgevit quantize", "export", _MODULES)
    from edgevit_export.quantize.quantize_pipeline import refuse_quantized
    from edgevit_runtimes.devices.target import this_target

    refuse_unwritable(bundle)
    wanted = _targets(targets, this_target())
    names = [int8_variant(target) for target in wanted]
    if not force:
        refuse_quantized(bundle, names)
    calibrating, evaluating, _ = _labelled(
        bundle, Path(calibration), evaluation, images, seed, progress or SilentProgress()
    )
    return PlannedWork(
        "quantize",
        {
            "bundle": str(bundle.path),
            "variants": ", ".join([*names, HALF_VARIANT]),
            "calibration_images": str(len(calibrating)),
            "evaluation_images": str(len(evaluating)),
        },
    )


def _targets_here() -> frozenset[str]:
    """What this machine runs."""
    from edgevit_runtimes.backends.native.native_library import is_built
    from edgevit_runtimes.devices.target import this_target

    others = {"openvino": is_installed("openvino"), _NATIVE: is_built()}
    return frozenset({this_target(), *(name for name, is_here in others.items() if is_here)})


def _runners(threads: int) -> dict[str, OpenRunner]:
    from edgevit_runtimes.backends.native.native_library import is_built
    from edgevit_runtimes.backends.open_model import open_model

    runtimes = ["onnxruntime", *(["openvino"] if is_installed("openvino") else [])]
    found: dict[str, OpenRunner] = {
        name: partial(open_model, runtime=name, threads=threads) for name in runtimes
    }
    if is_built():
        found[_NATIVE] = partial(_run_natively, threads)
    return found


def _run_natively(threads: int, model: bytes) -> Runner:
    """Compiles a Q/DQ model and opens it in edgevit's own engine."""
    import onnx

    from edgevit_export.native.compile_native import compile_native
    from edgevit_runtimes.backends.native.native_runner import NativeRunner

    return NativeRunner(compile_native(onnx.load_from_string(model)), threads)


def _labelled(
    bundle: Bundle,
    calibration: Path,
    evaluation: Path | str | None,
    count: int,
    seed: int,
    progress: Progress,
) -> tuple[Pictures, Pictures, NDArray[Any]]:
    """(to calibrate, to evaluate, labels of these)."""
    task, gates = bundle.manifest.task, {"segmentation": gate_masks, "detection": gate_boxes}
    if task in gates:
        evaluating = None if evaluation is None else Path(evaluation)
        return gates[task](bundle, calibration, evaluating, count, seed, progress)
    folders = _folders(calibration, evaluation, seed, progress)
    warn_of_trained(bundle, folders[1], progress)
    return _pictures(bundle, folders, count, seed)


def _folders(
    calibration: Path, evaluation: Path | str | None, seed: int, progress: Progress
) -> tuple[ImageFolder, ImageFolder]:
    """(to calibrate, to evaluate)."""
    from edgevit.images.image_folder import open_image_folder
    from edgevit.inference.calibration import refuse_overlap, split_for_gate

    if (calibration / "train").is_dir() and (calibration / "val").is_dir():
        train, val = (quote(str(calibration / part)) for part in ("train", "val"))
        raise InputError(
            f"{calibration} holds the folders train and val, not one folder for each class. Give "
            f"--data {train} --val-data {val}."
        )
    calibrating = open_image_folder(calibration, progress)
    if evaluation is None:
        progress.line(f"no evaluation images given: half of {calibration} measures accuracy")
        return split_for_gate(calibrating, seed)
    evaluating = open_image_folder(Path(evaluation), progress)
    refuse_overlap(calibrating, evaluating)
    return calibrating, evaluating


def _evaluation_name(calibration: Path, evaluation: Path | str | None, seed: int) -> str:
    """What people call the pictures that measure accuracy."""
    from edgevit.images.picture_set import set_name

    if evaluation is not None:
        return set_name(Path(evaluation))
    return f"half of {set_name(calibration)}, seed {seed}"


def _pictures(
    bundle: Bundle, folders: tuple[ImageFolder, ImageFolder], count: int, seed: int
) -> tuple[Pictures, Pictures, NDArray[np.int64]]:
    """(to calibrate, to evaluate, labels of these among the bundle's classes)."""
    import numpy as np

    from edgevit.inference.calibration import Pictures, balanced
    from edgevit_runtimes.selection.evaluate import places_of

    calibrating, evaluation = folders
    labels = places_of(evaluation.classes, bundle)[np.asarray(evaluation.labels)]
    preprocess = bundle.manifest.preprocess
    chosen = calibrating.part(balanced(calibrating, count, seed))
    return (
        Pictures(chosen.files, preprocess),
        Pictures(evaluation.files, preprocess),
        labels,
    )


def _verdicts(bundle: Bundle, targets: tuple[str, ...]) -> tuple[Bundle, list[Verdict]]:
    """Measures what this machine opens as it is, and takes the others by their accuracy alone."""
    from edgevit_runtimes.selection.choose import choose_form
    from edgevit_runtimes.selection.verdict import verdict_on

    verdicts = []
    for target in targets:
        if target in _targets_here() - {_NATIVE}:  # which is compiled first
            bundle, verdict = choose_form(bundle, target)
        else:
            name = int8_variant(target)
            verdict = verdict_on(bundle, name, bundle.manifest.variants[name])
        verdicts.append(verdict)
    return bundle, verdicts


def _targets(asked: Sequence[str] | None, here: str) -> tuple[str, ...]:
    from edgevit_export.quantize.schemes import SCHEMES

    known = [name for name, scheme in SCHEMES.items() if scheme.is_target]
    if asked is None:
        return (here, "tensorrt")
    if list(asked) == [ALL_TARGETS]:
        return tuple(known)
    if odd := [name for name in asked if name not in known]:
        raise InputError(
            f"Unknown target '{odd[0]}'; known are {', '.join(known)} and {ALL_TARGETS}."
        )
    return tuple(dict.fromkeys(asked))


def _check_method(method: str) -> None:
    from edgevit_export.quantize.ranges import METHODS
    from edgevit_export.quantize.search import AUTO

    if method not in (*METHODS, AUTO):
        raise InputError(f"--calibration-method is {', '.join(METHODS)} or {AUTO}; got '{method}'.")


def _draw(found: Mapping[str, Found], target: Path, title: str) -> None:
    draws = {
        name: [(len(a.keep_float), a.drop.points, a.drop.interval) for a in result.attempts]
        for name, result in found.items()
    }
    draw_trade_off(draws, target, title)
