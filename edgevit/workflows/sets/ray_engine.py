"""Ray Data: one actor a core or GPU, each with a session of the model.

Ray makes a block of rows again where the process or the machine that made or held it is gone; a
block reaches this process once, and all files are written here.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgevit.common.errors import BundleError, DeviceError, EdgevitError, InputError
from edgevit.common.libraries import require_modules
from edgevit.workflows.sets.answerer import Answerer, AnswerRequest, Row, VersionMismatchError
from edgevit.workflows.sets.set_listing import SetListing, opened

_CONNECT_S = 10.0
_MOST_PARTS_A_BLOCK = 4
_BLOCKS_A_WORKER = 8  # at least, so that all of them end at about the same time
_MODULES = ("ray", "pyarrow")
# The last line of a worker's traceback.
_RAISED = re.compile(r"^edgevit[\w.]*\.(?P<kind>\w+Error): (?P<text>.+)$", re.MULTILINE)


class ClusterError(DeviceError):
    """A Ray cluster cannot be reached, or cannot do the work."""


class RayWorker:
    """The actor: made once on every worker, then called with blocks of the set."""

    def __init__(self, request: AnswerRequest) -> None:
        self.answerer = Answerer(request)

    def __call__(self, block: Any) -> Any:
        """A pyarrow table of parts of the set to a table with one column of pickled rows."""
        import pickle

        import pyarrow as pa

        parts = block.column("part").to_pylist()
        rows = [row for part in parts for row in self.answerer.rows(*opened(part))]
        return pa.table({"rows": [pickle.dumps(rows)]})


def ray_rows(
    listing: SetListing,
    request: AnswerRequest,
    workers: int | None,
    address: str | None,
    on_gpu: bool,
) -> Iterator[list[Row]]:
    """Rows in the order of the items.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: the cluster cannot be reached or has fewer cores or GPUs than workers; or its
            workers failed.
        VersionMismatchError: a worker has another edgevit.
    """
    require_modules("--engine ray", "ray", _MODULES)
    import pickle

    with _cluster(address, workers), _errors_of_workers():
        for encoded in _blocks(listing, request, workers, on_gpu):
            yield pickle.loads(encoded)


def _blocks(
    listing: SetListing, request: AnswerRequest, workers: int | None, on_gpu: bool
) -> Iterator[bytes]:
    import pyarrow as pa
    import ray.data

    count = _workers(workers, on_gpu)
    size = max(1, min(_MOST_PARTS_A_BLOCK, len(listing.parts) // (count * _BLOCKS_A_WORKER)))
    tables = [
        pa.table({"part": listing.parts[start : start + size]})
        for start in range(0, len(listing.parts), size)
    ]
    for name in ("ray", "ray.data"):  # importing ray.data sets its own level
        logging.getLogger(name).setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    answers = ray.data.from_arrow(tables).map_batches(
        RayWorker,
        fn_constructor_args=(request,),
        batch_size=None,  # a block is a batch
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=min(count, len(tables))),
        num_cpus=0 if on_gpu else 1,
        num_gpus=1 if on_gpu else 0,
    )
    batches: Any = answers.iter_batches(batch_size=None, batch_format="pyarrow")
    for table in batches:
        yield from table.column("rows").to_pylist()


def _workers(asked: int | None, on_gpu: bool) -> int:
    import ray

    kind = "GPU" if on_gpu else "CPU"
    there = int(ray.cluster_resources().get(kind, 0))  # type: ignore[no-untyped-call]
    count = asked or there
    if not 0 < count <= there:
        raise ClusterError(
            f"--workers {count}: the cluster has {there} {kind}s, and each worker takes one. "
            f"Use at most {there}."
            if there
            else f"The cluster has no {kind} for a worker."
        )
    return count


@contextmanager
def _cluster(address: str | None, workers: int | None) -> Iterator[None]:
    """Connected to a cluster, or to one that is started here and ended with the block."""
    import ray

    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # of this process's part in C++
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        cores = workers or len(os.sched_getaffinity(0))
        where: dict[str, Any] = {"address": "local", "num_cpus": cores, "include_dashboard": False}
    else:
        _refuse_unreachable(address)
        where = {"address": address}
    try:
        ray.init(**where, **quiet)
    except Exception as error:  # Ray raises that itself where a node does not start in time
        raise _not_there(address, str(error)) from error
    try:
        yield
    finally:
        ray.shutdown()


def _refuse_unreachable(address: str) -> None:
    """Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise InputError(f"--address is HOST:PORT of a Ray cluster, or auto; got '{address}'.")
    try:
        socket.create_connection((host, int(port)), _CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise _not_there(address, str(error)) from error


def _not_there(address: str | None, reason: str) -> ClusterError:
    first_line = next(iter(reason.strip().splitlines()), "no reason given")
    if address is None:
        return ClusterError(
            f"Ray did not start on this machine: {first_line} Where other work keeps it busy, try "
            "again later, or use the engine 'local'."
        )
    return ClusterError(
        f"No Ray cluster answers at {address}: {first_line} Start one with 'ray start --head', or "
        "leave out --address for one of this machine."
    )


@contextmanager
def _errors_of_workers() -> Iterator[None]:
    """What a worker raised on purpose is raised here as it is; other failures are the cluster's."""
    from ray.exceptions import RayError

    try:
        yield
    except RayError as error:
        raise _own_error(error) or ClusterError(
            f"The Ray cluster could not do the work: {_last_line(error)}"
        ) from error


def _own_error(error: BaseException) -> EdgevitError | None:
    """The error of edgevit that a worker raised.

    Ray hands over what was raised in a call as a cause, and of a constructor the text alone.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, EdgevitError):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    if found := _RAISED.search(str(error)):
        kinds = {kind.__name__: kind for kind in (VersionMismatchError, BundleError, InputError)}
        return kinds.get(found["kind"], ClusterError)(found["text"].strip())
    return None


def _last_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
