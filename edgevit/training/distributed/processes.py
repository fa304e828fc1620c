"""The processes that torchrun started for one run, and what they tell each other.

Gradients go through DistributedDataParallel. Everything else (losses, counts, states, whether to
stop) is small, lies in the memory of the host, and goes through gloo on every machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from edgevit.common.errors import EdgevitError, InputError

T = TypeVar("T")

# A teacher may answer for hours before the next message. A process that ended is noticed at once.
_LONGEST_WAIT = timedelta(hours=24)
_NETWORK_WORDS = ("gloo", "nccl", "connection closed by peer", "connection reset by peer")


class ProcessLostError(EdgevitError):
    """Another process of the run ended; the last saved state is whole."""

    exit_code = 1


@dataclass(frozen=True)
class Processes:
    """rank: of this process, 0 to count - 1. local_count: processes on this machine.

    restart: how often torchrun has started them again. Every method that exchanges something must
    be called by all processes.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1
    restart: int = 0
    host_group: Any = None

    @property
    def is_first(self) -> bool:
        """Whether this one writes and prints."""
        return self.rank == 0

    def sums(self, values: Sequence[float]) -> list[float]:
        """The sum of each value over all processes."""
        if self.count == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(summed, group=self.host_group)
        return [float(value) for value in summed]

    def gathered(self, items: list[T]) -> list[T]:
        """The items of all processes, in the order of their ranks."""
        if self.count == 1:
            return items
        parts: list[Any] = [None] * self.count
        dist.all_gather_object(parts, items, group=self.host_group)
        return [item for part in parts for item in part]

    def from_first(self, make: Callable[[], T]) -> T:
        """What the first process makes, given to all. Where it fails, the others end with it."""
        if self.count == 1:
            return make()
        held: list[Any] = [make() if self.is_first else None]
        dist.broadcast_object_list(held, src=0, group=self.host_group)
        made: T = held[0]
        return made

    def one_per_machine_first(self, make: Callable[[], T]) -> T:
        """Calls ``make`` on one process of each machine, then on the others, which find its files.

        With one file system for all machines, several may make the same file; each writes it whole.
        """
        if self.local_rank == 0:
            made = make()
            self.wait()
            return made
        self.wait()
        return make()

    def wait(self) -> None:
        """Until all processes are here."""
        self.sums([0.0])


ALONE = Processes()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """The processes of this run: those of torchrun, or this one alone.

    Args:
        device: "cpu" or "cuda"; every process takes the GPU of its local rank.

    Raises:
        InputError: there are more processes than GPUs on this machine.
        ProcessLostError: another process ended while the block ran.
    """
    if not under_torchrun():
        yield ALONE
        return
    local_rank, local_count = _number("LOCAL_RANK"), _number("LOCAL_WORLD_SIZE")
    if device == "cuda":
        _take_gpu(local_rank, local_count)
    with _losses_named():
        store, rank, count = _store(local_count)
        backend = "nccl" if device == "cuda" else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=count)
        try:
            yield Processes(
                rank=dist.get_rank(),
                count=dist.get_world_size(),
                local_rank=local_rank,
                local_count=local_count,
                restart=_number("TORCHELASTIC_RESTART_COUNT"),
                host_group=dist.new_group(backend="gloo", timeout=_LONGEST_WAIT),
            )
        finally:
            dist.destroy_process_group()


def _store(local_count: int) -> tuple[Any, int, int]:
    """(store, rank, count) that torchrun's variables tell.

    torchrun keeps its store when it starts processes again, with the addresses of those that are
    gone, so each start on one machine writes under a name of its own. The number of starts differs
    between machines: there torchrun is told to make a new store (docs/imagenet.md).
    """
    store, rank, count = next(dist.rendezvous("env://"))  # type: ignore[attr-defined]
    if local_count == count:
        start = f"start {_number('TORCHELASTIC_RESTART_COUNT')}"
        store = dist.PrefixStore(start, store)  # type: ignore[attr-defined]
    return store, rank, count


def under_torchrun() -> bool:
    """Whether torchrun started this process. Variables of other launchers alone do not count."""
    return dist.is_available() and dist.is_torchelastic_launched()


def local_processes() -> int:
    """How many processes of this run share this machine."""
    return _number("LOCAL_WORLD_SIZE", 1) if under_torchrun() else 1


def _number(variable: str, default: int = 0) -> int:
    return int(os.environ.get(variable, default))


def _take_gpu(local_rank: int, local_count: int) -> None:
    if local_count > torch.cuda.device_count():
        raise InputError(
            f"torchrun started {local_count} processes here, but torch sees "
            f"{torch.cuda.device_count()} GPUs. Use --nproc-per-node={torch.cuda.device_count()}, "
            "or --device cpu."
        )
    torch.cuda.set_device(local_rank)


@contextmanager
def _losses_named() -> Iterator[None]:
    """Makes one error of what gloo and NCCL raise when another process is gone."""
    try:
        yield
    except RuntimeError as error:
        if not _is_of_the_network(error):
            raise
        raise ProcessLostError(
            "Another process of this run ended, so this one ends too; the reason is in that one's "
            "output. The last saved state is whole: start the same command with --resume, or use "
            "torchrun --max-restarts."
        ) from error


def _is_of_the_network(error: RuntimeError) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        return False
    text = str(error).lower()
    return isinstance(error, dist.DistError) or any(word in text for word in _NETWORK_WORDS)
