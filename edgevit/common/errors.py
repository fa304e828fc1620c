"""Errors a person can act on: each message says what, got, expected, and how to fix it.

A message calls an option as it is typed, ``--crop-pct``. Who calls the Python API reads the name of
the parameter in its place, ``'crop_pct'``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from edgevit.common.installation.install_command import install_command
from edgevit.common.installation.programs import PROGRAMS

_NAMED = 5
# Commands in a message stay as they are typed: those in quotes, and others to the end of a clause.
_COMMAND = rf"'{PROGRAMS} [^']*'|\b{PROGRAMS} (?:'[^']*'|[^.,;)']|[.,;)](?=\S))*"
_COMMAND_OR_OPTION = re.compile(rf"({_COMMAND})|(?<![\w-])--([a-z][a-z0-9-]*[a-z0-9])")
_options_are_typed = False


@contextmanager
def options_as_typed() -> Iterator[None]:
    """While a command line runs, messages name its options instead of parameters."""
    global _options_are_typed  # noqa: PLW0603  (one command line a process)
    former, _options_are_typed = _options_are_typed, True
    try:
        yield
    finally:
        _options_are_typed = former


class EdgevitError(Exception):
    """Base of every error that edgevit raises on purpose; ``exit_code`` is the CLI's.

    said_once: of processes that work together all raise it, and one of each machine says it.
    """

    exit_code = 2
    said_once = False

    def __str__(self) -> str:
        text = super().__str__()
        return text if _options_are_typed else _COMMAND_OR_OPTION.sub(_as_parameter, text)


def _as_parameter(found: re.Match[str]) -> str:
    return found[1] or f"'{found[2].replace('-', '_')}'"


@contextmanager
def raised_alike() -> Iterator[None]:
    """What the block refuses, every process of the machine refuses: one of them says it."""
    try:
        yield
    except EdgevitError as error:
        error.said_once = True
        raise


class InputError(EdgevitError):
    """Something the user handed over (an option, a file, an image, a folder) cannot be used."""


class BundleError(InputError):
    """A bundle is missing, damaged, or of a schema this version does not read."""


class DamagedError(BundleError):
    """A file of a bundle cannot be read, or does not hold what the manifest says: on no machine."""


class CheckpointError(InputError):
    """A checkpoint does not fit the model."""


class MissingExtraError(InputError):
    """An optional dependency is not installed."""

    def __init__(self, purpose: str, module: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs the Python module '{module}', which is not installed. "
            f"Install it with: {install_command(extra)}"
        )


class DeviceError(EdgevitError):
    """Another machine cannot be reached, refuses, or failed at what it was asked to do.

    missing: the command is not there.
    """

    def __init__(self, message: str, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class ConnectionLostError(DeviceError):
    """The connection to another machine broke in the middle; what runs there goes on."""


class CheckFailedError(EdgevitError):
    """The work ran, and what came out does not hold (parity, accuracy)."""

    exit_code = 1


def some_of(names: Sequence[object]) -> str:
    """The first few, for a message: ``a, b, c, d, e and 3 more``."""
    shown = ", ".join(map(str, names[:_NAMED]))
    more = len(names) - _NAMED
    return shown if more <= 0 else f"{shown} and {more} more"
