"""Answers for a set of any number of pictures, as one parquet file."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import InputError
from edgevit.common.libraries import require_modules
from edgevit.common.progress import Progress, SilentProgress, stage
from edgevit.common.result import Result
from edgevit.common.storage.files import resolved
from edgevit.common.tables import Section, Table
from edgevit.common.version import __version__
from edgevit.results.bundle_summary import note_rows
from edgevit.workflows.sets.answerer import AnswerRequest, Row
from edgevit.workflows.sets.answers_file import refuse_output, write_answers
from edgevit.workflows.sets.engines import EngineOptions, answered
from edgevit.workflows.sets.picture_items import PictureItem, items_of
from edgevit.workflows.sets.set_listing import SetListing
from edgevit.workflows.trial.trial_opening import try_untrusted

LOCAL = EngineOptions()
_NAMED_ERRORS = 5


@dataclass(frozen=True)
class SetPredictions(Result):
    """output: the parquet file. images: its rows. failed: rows with an error; the first are named.

    seconds: of the work, with starting its workers.
    """

    bundle: Bundle
    variant: str
    engine: str
    output: Path
    images: int
    failed: int
    seconds: float
    first_errors: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": self.bundle.manifest.model.name,
            "bundle": str(self.bundle.path),
            "variant": self.variant,
            "engine": self.engine,
            "output": str(self.output),
            "images": self.images,
            "failed": self.failed,
            "errors": list(self.first_errors),
            "seconds": round(self.seconds, 3),
            "images_per_s": round(self.images / self.seconds, 1),
        }

    def sections(self) -> list[Section]:
        rows = [
            *note_rows(self.bundle),
            ("answers", str(self.output)),
            ("images", f"{self.images}, {self.failed} of them without an answer"),
            ("speed", f"{self.images / self.seconds:.1f} images/s, {self.seconds:.1f} s"),
            ("engine", self.engine),
        ]
        title = f"{self.bundle.manifest.model.name} {self.variant}"
        return [Table(title, ("", ""), rows), *(f"error: {text}" for text in self.first_errors)]


def predict_set(
    bundle: Bundle,
    sources: Sequence[str],
    output: Path | str,
    *,
    variant: str | None = None,
    threads: int = 1,
    top: int = 5,
    engine: EngineOptions = LOCAL,
    force: bool = False,
    progress: Progress | None = None,
) -> SetPredictions:
    """Answers every picture of a set; one that cannot be read becomes a row with an error.

    Args:
        sources: folders, globs, picture files, .tar and .zip archives and folders of them, parquet
            files (:mod:`edgevit.workflows.sets.picture_items`).
        output: a .parquet file (:mod:`edgevit.workflows.sets.answers_file`).
        top: how many classes a row lists.
        engine: where the work is done. threads: of every worker.
        force: replace the output where it is there already.

    Raises:
        MissingExtraError: pyarrow or Ray is not installed.
        InputError: a source or the output cannot be used, or the disk is full.
        BundleError: the variant does not exist or cannot be opened.
        ClusterError: the Ray cluster cannot be reached or failed.
        CheckFailedError: an untrusted bundle does not pass its trial, or rows were lost.
    """
    from edgevit_runtimes.devices.facts import chosen_here

    require_modules("edgevit predict", "parquet", ["pyarrow"])
    progress, output = progress or SilentProgress(), Path(output)
    refuse_output(output, force)
    used = variant or chosen_here(bundle)
    bundle.variant(used)  # refuses a name that it has not
    entry = bundle.manifest.variants[used]
    _refuse_other_tasks(bundle)
    with stage(progress, "list the images"):
        listing = SetListing.of(map(_absolute, items_of(sources)))
    try_untrusted(bundle, [used], progress)
    request = AnswerRequest(resolved(bundle.path), used, threads, top)
    tally = _Tally()
    started = time.perf_counter()
    batches = answered(listing, request, engine, entry.runtime == "tensorrt")
    origin = {
        "version": __version__,
        "bundle": str(bundle.path),
        "variant": used,
        "file_sha256": bundle.manifest.files[entry.file].sha256,
    }
    write_answers(output, tally.counted(batches, len(listing), progress), origin)
    return SetPredictions(
        bundle=bundle,
        variant=used,
        engine=engine.name,
        output=output,
        images=len(listing),
        failed=tally.failed,
        seconds=time.perf_counter() - started,
        first_errors=tuple(tally.first),
    )


def _refuse_other_tasks(bundle: Bundle) -> None:
    if bundle.manifest.task != "classification":
        raise InputError(
            f"edgevit predict writes classes; the task of {bundle.path} is {bundle.manifest.task}. "
            "Use 'edgevit run --json', which gives masks and boxes."
        )


@dataclass
class _Tally:
    """Counts rows with an error as they pass."""

    failed: int = 0
    first: list[str] = field(default_factory=list)

    def counted(
        self, batches: Iterator[list[Row]], count: int, progress: Progress
    ) -> Iterator[list[Row]]:
        with progress.bar("predict", count) as advance:
            for rows in batches:
                for row in rows:
                    if row["error"] is not None:
                        self.failed += 1
                        self.first += [row["error"]][: _NAMED_ERRORS - len(self.first)]
                yield rows
                advance(len(rows))


def _absolute(item: PictureItem) -> PictureItem:
    """Workers have another working folder."""
    path = Path(item.file)
    return item if path.is_absolute() else replace(item, file=str(path.absolute()))
