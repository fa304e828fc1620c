"""Whether every variant of a bundle answers as the float reference does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgevit.bundle.bundle import FLOAT_VARIANT, Bundle
from edgevit.bundle.model_notes import untrained_note
from edgevit.bundle.repair import Dropped
from edgevit.bundle.repair import repair as repair_bundle
from edgevit.common.errors import CheckFailedError, InputError
from edgevit.common.installation.install_command import install_command
from edgevit.common.libraries import is_installed, require_modules
from edgevit.common.progress import Progress, SilentProgress
from edgevit.common.result import Result
from edgevit.common.tables import Section, Table
from edgevit.workflows.trial.trial_opening import try_untrusted

if TYPE_CHECKING:
    from edgevit.images.image_io import Image
    from edgevit.inference.runner import Runner
    from edgevit_export.inspect.bisect import TensorError
    from edgevit_runtimes.selection.verify import Comparison, Expose, Verification

_BISECT_PICTURES = 4
_COLUMNS = (
    "variant",
    "runs in",
    "answers agree",
    "max diff",
    "mean diff",
    "same superpixels",
    "passes",
)
_SUPERPIXELS = _COLUMNS.index("same superpixels")  # a model without them has no such column


@dataclass(frozen=True)
class VerifyResult(Result):
    """tensors: by variant, what was compared to find the first tensor that differs.

    asked: the variants that were asked for by name; they must open.
    dropped: by variant, what the repair left out because its file was damaged.
    sees_superpixels: False where the module ``onnx`` is missing, so that they were not compared.
    """

    bundle: Bundle
    verification: Verification
    tensors: Mapping[str, Sequence[TensorError]]
    asked: tuple[str, ...]
    sees_superpixels: bool
    dropped: Mapping[str, Dropped] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether at least one variant was compared and none failed."""
        return self.verification.holds

    def require(self) -> None:
        """Raises where something does not hold.

        Raises:
            CheckFailedError: a variant does not answer as the reference, or none could be opened.
            InputError: a variant that was asked for by name could not be opened.
        """
        found = self.verification
        if found.failed:
            raise CheckFailedError(f"Verification failed for {', '.join(found.failed)}.")
        if self.asked and found.not_opened:
            name, reason = next(iter(found.not_opened.items()))
            raise InputError(f"'{name}' could not be verified here: {reason}")
        if not found.comparisons:
            raise CheckFailedError("No variant could be opened here, so nothing was verified.")

    def to_dict(self) -> dict[str, Any]:
        found = self.verification
        content: dict[str, Any] = {
            "bundle": str(self.bundle.path),
            "holds": found.holds,
            "comparisons": [comparison.to_dict() for comparison in found.comparisons],
            "not_opened": dict(found.not_opened),
            "damaged": dict(found.damaged),
        }
        if self.dropped:
            content["dropped"] = {name: asdict(why) for name, why in self.dropped.items()}
        if self.tensors:
            content["tensors"] = {
                name: [each.to_dict() for each in compared]
                for name, compared in self.tensors.items()
            }
        return content

    def sections(self) -> list[Section]:
        found = self.verification
        lines = [f"{one.variant}: {'; '.join(one.failures())}" for one in found.failing]
        lines += [
            f"{name}: dropped, because {why.reason}. Make it again with: {why.again}"
            for name, why in self.dropped.items()
        ]
        lines += [f"{name}: not verified here: {why}" for name, why in found.not_opened.items()]
        lines += [f"{name}: damaged: {why}" for name, why in found.damaged.items()]
        if not self.sees_superpixels:
            lines.append(f"superpixels were not compared; to do that: {install_command('export')}")
        if note := untrained_note(self.bundle):
            lines.append(f"note: {note}")
        tensors = [_tensor_table(name, compared) for name, compared in self.tensors.items()]
        return [*self._by_reference(), *lines, *tensors]

    def _by_reference(self) -> Iterator[Table]:
        """A table for each of those that variants were compared with."""
        compared: dict[tuple[str, int], list[Comparison]] = {}
        for one in self.verification.comparisons:
            compared.setdefault((one.reference, one.agreement.images), []).append(one)
        for (reference, images), alike in compared.items():
            title = f"{self.bundle.path} against {reference}, on {images} pictures"
            whole = [_COLUMNS, *(_row(one) for one in alike)]
            has_superpixels = any(row[_SUPERPIXELS] != "-" for row in whole[1:])
            columns, *rows = whole if has_superpixels else map(_without_superpixels, whole)
            yield Table(title, columns, rows, _COLUMNS[2:6])


def verify(
    bundle: Bundle,
    *,
    images: Path | str | None = None,
    count: int = 200,
    variants: Sequence[str] | None = None,
    bisect: bool = False,
    tolerance: float | None = None,
    repair: bool = False,
    threads: int = 1,
    progress: Progress | None = None,
) -> VerifyResult:
    """Compares every variant with torch's answers, and on other pictures with the float model's.

    Args:
        images: a folder of pictures to compare on, beside the bundle's own.
        count: at most so many of them, spread evenly.
        variants: names; by default all that the bundle has.
        bisect: find the first tensor in which a variant differs from the float model.
        tolerance: of ``bisect``: relative error; by default by the variant's precision.
        repair: first drop the variants whose files are damaged, and say how to make them again.

    Raises:
        BundleError: the bundle has no such variant.
        InputError: an option or a picture cannot be used.
        CheckFailedError: a model of an untrusted bundle does not pass its trial.
        MissingExtraError: ``bisect`` was asked for, and onnx is not installed.
    """
    from edgevit_runtimes.selection.verify import VerifyRequest
    from edgevit_runtimes.selection.verify import verify as compare_variants

    if tolerance is not None and not bisect:
        raise InputError("--tolerance is one of --bisect; give both.")
    progress = progress or SilentProgress()
    bundle, dropped = repair_bundle(bundle) if repair else (bundle, {})
    named = tuple(variants or bundle.manifest.variants)
    for name in named:
        bundle.entry(name)  # an unknown one is an error before the work
    try_untrusted(bundle, (FLOAT_VARIANT, *named), progress)
    expose = _expose(bundle)
    request = VerifyRequest(bundle, named, _pictures(images, count), expose, threads)
    found = compare_variants(request, progress)
    return VerifyResult(
        bundle=bundle,
        verification=found,
        tensors=_bisect(bundle, found, tolerance, threads, progress) if bisect else {},
        asked=tuple(variants or ()),
        dropped=dropped,
        sees_superpixels=expose is not None or bundle.manifest.superpixel_map is None,
    )


def _pictures(folder: Path | str | None, count: int) -> list[Image]:
    if folder is None:
        return []
    from edgevit.images import image_io
    from edgevit.images.image_files import files_in

    files = files_in(Path(folder))
    picked = min(count, len(files))
    return [image_io.read(files[i * len(files) // picked]) for i in range(picked)]


def _expose(bundle: Bundle) -> Expose | None:
    """None where superpixels cannot be seen: a model without them, or no module ``onnx``."""
    if bundle.manifest.superpixel_map is None or not is_installed("onnx_ir"):
        return None
    from edgevit_export.inspect.expose import exposed

    return exposed


def _bisect(
    bundle: Bundle, found: Verification, tolerance: float | None, threads: int, progress: Progress
) -> dict[str, list[TensorError]]:
    """Of every ONNX variant that was compared, the tensors that were compared for it."""
    require_modules("edgevit verify --bisect", "export", ("onnx", "onnx_ir"))
    from edgevit_export.inspect.bisect import Pair
    from edgevit_export.inspect.bisect import bisect as bisect_variant
    from edgevit_runtimes.backends.open_model import open_model, open_variant

    def open_reference(opened: Bundle, name: str) -> Runner:
        return open_model(opened.variant(name), "onnxruntime", threads)

    def open_it(opened: Bundle, name: str) -> Runner:
        return open_variant(opened, name, threads)

    pictures = bundle.reference().images[:_BISECT_PICTURES]
    compared = dict.fromkeys(comparison.variant for comparison in found.comparisons)
    return {
        name: bisect_variant(
            Pair(bundle, name, pictures, open_it, open_reference), progress, tolerance
        )
        for name in compared
        if bundle.variant(name).suffix == ".onnx"
    }


def _row(comparison: Comparison) -> tuple[str, ...]:
    found, same = comparison.agreement, comparison.superpixels_same
    return (
        comparison.variant,
        f"{comparison.runtime}, {found.precision}",
        found.answers_text,
        *found.differences_text,
        "-" if same is None else _percent(same, found.images),
        "NO" if comparison.failures() else "yes",
    )


def _without_superpixels(row: tuple[str, ...]) -> tuple[str, ...]:
    return (*row[:_SUPERPIXELS], *row[_SUPERPIXELS + 1 :])


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"


def _tensor_table(name: str, compared: Sequence[TensorError]) -> Table:
    from edgevit_export.inspect.bisect import first_difference

    first = first_difference(compared)
    where = f"differs first at {first.tensor}" if first else "no tensor differs"
    rows = [
        (each.tensor, f"{each.error:.2g}", "differs" if each.differs else "") for each in compared
    ]
    columns = ("tensor", "relative error", "")
    return Table(f"{name} against float: {where}", columns, rows, columns[1:2])
