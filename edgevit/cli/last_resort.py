"""What a person is told when edgevit itself is wrong: an exception that nothing expected."""

from __future__ import annotations

import os
import platform
import traceback
from collections.abc import Sequence
from pathlib import Path

from edgevit.common.errors import EdgevitError
from edgevit.common.installed import known_distribution
from edgevit.common.storage.cache import writable_cache
from edgevit.common.storage.files import write_atomically
from edgevit.common.untrusted.credentials import without_passwords
from edgevit.common.untrusted.parsers import reason_of
from edgevit.common.untrusted.sanitize import printable
from edgevit.common.version import __version__

BUG_EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h
DEBUG_VARIABLE = "EDGEVIT_DEBUG"
_DETAILS_FILE = "last_bug.txt"
_LIBRARIES = (
    "numpy",
    "opencv-python-headless",
    "onnxruntime",
    "openvino",
    "tensorrt",
    "onnx",
    "torch",
)


def bug_report(error: BaseException, command: str) -> str:
    """The message for an unexpected exception; its traceback goes to a file in the user's cache.

    With ``EDGEVIT_DEBUG=1`` the traceback is part of the message instead.

    Args:
        command: what was run, such as ``edgevit devices add``, without its arguments: they may
            hold passwords.
    """
    what = f"{type(error).__name__}: {_clean(reason_of(error))}"
    details = _details(error, command)
    if os.environ.get(DEBUG_VARIABLE, "0") not in ("", "0"):
        where = "the traceback above"
        shown = details
    else:
        file = _kept(details)
        again = f"what the same command prints with {DEBUG_VARIABLE}=1"
        where = again if file is None else f"the file {file}"
        shown = ""
    return (
        f"{shown}error: this is a bug in edgevit: '{command}' ended with {what}. Report it with "
        f"the command, the versions ({', '.join(_versions(()))}) and {where}."
    )


def _details(error: BaseException, command: str) -> str:
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return f"{command}\n{', '.join(_versions(_LIBRARIES))}\n\n{_clean(''.join(lines))}"


def _clean(text: str) -> str:
    """Without passwords and without orders to a terminal."""
    return printable(without_passwords(text))


def _versions(libraries: Sequence[str]) -> list[str]:
    """Of edgevit, Python, the system, and of the libraries that are installed."""
    found = (known_distribution(name) for name in libraries)
    return [
        f"edgevit {__version__}",
        f"Python {platform.python_version()}",
        f"{platform.system()} {platform.machine()}",
        *(" ".join(each) for each in found if each is not None),
    ]


def _kept(details: str) -> Path | None:
    """The file that holds the details; None where nothing can be written."""
    folder = writable_cache()
    if folder is None:
        return None
    file = folder / _DETAILS_FILE
    try:
        write_atomically(file, lambda aside: aside.write_text(details, encoding="utf-8"))
    except (EdgevitError, OSError):
        return None
    return file
