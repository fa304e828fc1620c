"""What the server and its event loop log: a line for each mistake of our own, no more."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aiohttp.http_exceptions import HttpProcessingError


@contextmanager
def errors_of_this_thread(say: Callable[[str], None]) -> Iterator[None]:
    """What asyncio logs about this thread's loop in the block: errors in a line, no warnings.

    It warns about writing to connections that the other end has closed, which is nobody's fault.
    Other threads' loops are not concerned.
    """
    thread = threading.get_ident()

    def hand_on(record: logging.LogRecord) -> bool:
        if record.thread != thread:
            return True
        if record.levelno >= logging.ERROR:
            error = record.exc_info[1] if record.exc_info else None
            if not isinstance(error, ConnectionError):
                first_line = record.getMessage().partition("\n")[0]
                say(f"page: {first_line}" + (f": {error!r}" if error else ""))
        return False

    logger = logging.getLogger("asyncio")
    logger.addFilter(hand_on)
    try:
        yield
    finally:
        logger.removeFilter(hand_on)


class _OneLine(logging.Handler):
    """Says what went wrong here; what went wrong at the other end is not worth a line.

    Neither is an InvalidStateError: aiohttp raises it itself where a request ends just after its
    server gave up waiting for it.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.ERROR)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, (HttpProcessingError, asyncio.InvalidStateError)):
            self._say(f"page: {record.getMessage()}: {error!r}")


def logger_of(say: Callable[[str], None]) -> logging.Logger:
    logger = logging.Logger("edgevit.page")
    logger.addHandler(_OneLine(say))
    return logger
