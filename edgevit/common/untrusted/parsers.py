"""The one guard around libraries that read what somebody else made.

protobuf, onnx, ONNX Runtime, OpenVINO, safetensors, torch and numpy raise errors of many kinds for
a file that lies: their own classes, which share no base, and UnicodeDecodeError, KeyError,
TypeError or MemoryError besides. Libraries in Rust raise a panic that is no ``Exception``. All of
them mean the same: the file cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgevit.common.errors import EdgevitError
from edgevit.common.untrusted.sanitize import last_line

_PANIC = "PanicException"  # of pyo3, which gives its class no module to import it from


def reason_of(error: BaseException) -> str:
    """The last line of a library's message, without a full stop; its class where it has none."""
    said = str(error).strip()
    return last_line(said).rstrip(". ") if said else type(error).__name__


@contextmanager
def parsing(
    refusal: Callable[[str], EdgevitError], reason: Callable[[BaseException], str] = reason_of
) -> Iterator[None]:
    """Turns whatever a library raises in the block into one error of ours.

    Args:
        refusal: makes the error from the library's reason, one line without control characters.
        reason: finds that line in what was raised.

    Raises:
        EdgevitError: that of ``refusal``, from the library's; or our own, as it was raised.
    """
    try:
        yield
    except EdgevitError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != _PANIC:
            raise
        raise refusal(reason(error)) from error
