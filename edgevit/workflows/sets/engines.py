"""The engines that answer a set: a plain loop in this process, or actors of a Ray cluster.

Both give every row once, in the order of the set.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np

from edgevit.common.errors import CheckFailedError, InputError
from edgevit.workflows.sets.answerer import Answerer, AnswerRequest, Row
from edgevit.workflows.sets.set_listing import SetListing, opened

EngineName = Literal["local", "ray"]


@dataclass(frozen=True)
class EngineOptions:
    """name: ``local`` or ``ray``. workers: of Ray; None: one a core, or a GPU where the variant
    needs one. address: of a cluster, ``HOST:PORT`` or ``auto``; None: a cluster of this machine,
    started for the occasion.
    """

    name: EngineName = "local"
    workers: int | None = None
    address: str | None = None

    @classmethod
    def of(cls, name: str, workers: int | None, address: str | None) -> EngineOptions:
        """From a person's options.

        Raises:
            InputError: an unknown engine, or options of another one.
        """
        if name not in get_args(EngineName):
            raise InputError(f"--engine is {' or '.join(get_args(EngineName))}; got '{name}'.")
        return cls(cast("EngineName", name), workers, address)

    def __post_init__(self) -> None:
        if self.name == "local" and (self.workers or self.address):
            raise InputError("--workers and --address are for Ray; add --engine ray.")


def answered(
    listing: SetListing, request: AnswerRequest, options: EngineOptions, on_gpu: bool
) -> Iterator[list[Row]]:
    """Rows of every picture, some at a time, checked: each of them once.

    Args:
        on_gpu: a worker needs a GPU.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: the cluster cannot be reached, or lost all its workers.
        CheckFailedError: an engine lost or doubled rows.
    """
    return _each_once(_unchecked(listing, request, options, on_gpu), listing.count)


def _unchecked(
    listing: SetListing, request: AnswerRequest, options: EngineOptions, on_gpu: bool
) -> Iterator[list[Row]]:
    if options.name == "local":
        return _local(listing, request)
    from edgevit.workflows.sets.ray_engine import ray_rows

    return ray_rows(listing, request, options.workers, options.address, on_gpu)


def _local(listing: SetListing, request: AnswerRequest) -> Iterator[list[Row]]:
    answerer = Answerer(request)
    try:
        for part in listing.parts:
            yield answerer.rows(*opened(part))
    finally:
        answerer.close()


def _each_once(batches: Iterator[list[Row]], count: int) -> Iterator[list[Row]]:
    seen = np.zeros(count, bool)
    for rows in batches:
        places = np.array([row["place"] for row in rows], np.int64)
        if seen[places].any() or len(np.unique(places)) < len(places):
            raise CheckFailedError("The engine gave rows twice. Nothing was written; start again.")
        seen[places] = True
        yield rows
    if missing := int((~seen).sum()):
        raise CheckFailedError(
            f"The engine gave no rows for {missing} of {count} images. Nothing was written; start "
            "again."
        )
