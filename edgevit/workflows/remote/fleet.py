"""The same work on several devices at once; what fails on one stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

from edgevit.common.errors import CheckFailedError, DeviceError, EdgevitError, InputError
from edgevit.common.progress import Advance, Progress
from edgevit.common.workers import workers

T = TypeVar("T")


def on_all(
    hosts: Sequence[str], do: Callable[[str, Progress], T], progress: Progress
) -> dict[str, T | EdgevitError]:
    """Calls ``do`` for every device, each in a thread; gives its result, or its error.

    Args:
        hosts: as they were named; each once.
    """

    def attempt(host: str) -> T | EdgevitError:
        own = _OfDevice(progress, host)
        try:
            return do(host, own)
        except EdgevitError as error:
            if len(hosts) > 1:  # of one device alone the command says it at its end
                own.line(f"FAILED: {error}")
            return error
        except OSError as error:  # such as no more processes here
            return DeviceError(f"{host}: {error.strerror or error}.")

    with workers(len(hosts)) as pool:
        return dict(zip(hosts, pool.map(attempt, hosts), strict=True))


def failures(found: Mapping[str, object]) -> dict[str, EdgevitError]:
    """The errors, by device."""
    return {host: each for host, each in found.items() if isinstance(each, EdgevitError)}


def failure_document(error: EdgevitError) -> dict[str, Any]:
    """For programs. code: the exit code that the command has for one device."""
    return {"error": str(error), "code": error.exit_code}


def failure_lines(found: Mapping[str, object]) -> list[str]:
    """For people."""
    return [f"FAILED: {error}" for error in failures(found).values()]


def require_hosts(hosts: Sequence[str]) -> None:
    """Raises InputError where no device is given."""
    if not hosts:
        raise InputError("No device is given. Name one with --host user@device, or a --fleet.")


def require_all(found: Mapping[str, object], what: str) -> None:
    """
    Raises:
        CheckFailedError: it failed on a device; names every one.
    """
    failed = failures(found)
    if failed:
        named = ", ".join(failed)
        raise CheckFailedError(f"{what} failed on {len(failed)} of {len(found)} devices: {named}.")


class _OfDevice:
    """Progress of one device among others: whole lines that begin with its name."""

    def __init__(self, progress: Progress, host: str) -> None:
        self._progress, self._host = progress, host

    def line(self, text: str) -> None:
        self._progress.line(f"[{self._host}] {text}")

    def working(self, label: str) -> AbstractContextManager[object]:
        self.line(label)
        return nullcontext()

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        del total
        self.line(label)  # a live bar of every device would be more than a terminal can show

        def advance(steps: int = 1, note: str = "") -> None:
            del steps, note

        yield advance
