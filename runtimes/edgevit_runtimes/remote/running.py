"""A command under way on a device, which is never waited for without end."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from edgevit.common.errors import ConnectionLostError

_LOOK_UP_S = 0.2
_ENDING_S = 5.0


class Running:
    """What is sent to a command, and what comes back. Used by one thread.

    Args:
        name: of the command, for messages.
        timeout_s: it is ended after so long, whatever it says; None: never.
        silence_s: it is ended when it takes nothing, or says nothing, for so long while that is
            waited for; None: never.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        host: str,
        name: str,
        timeout_s: float | None,
        silence_s: float | None,
    ) -> None:
        assert process.stdout is not None
        self._process, self._output = process, process.stdout
        self._host, self._name = host, name
        self._timeout_s, self._silence_s = timeout_s, silence_s
        self._began_s = time.monotonic()
        self._waits_since_s: float | None = None
        self._verdict: ConnectionLostError | None = None
        self._is_left = False
        self._ended = threading.Event()
        threading.Thread(target=self._watch, name="ssh-watch", daemon=True).start()

    def write(self, data: bytes) -> bool:
        """Sends; False where the command has ended, and its answer or exit code says why."""
        if self._process.stdin is None:
            return False
        try:
            with self._waiting():
                self._process.stdin.write(data)
                self._process.stdin.flush()
        except OSError:
            return False
        return True

    def end_input(self) -> None:
        """Says that nothing more is sent."""
        if self._process.stdin is not None:
            with self._waiting(), suppress(OSError):  # as in write
                self._process.stdin.close()

    def read(self, most_bytes: int) -> bytes:
        """All that it says, or so much of it."""
        with self._waiting():
            return self._output.read(most_bytes)

    def readline(self, most_bytes: int) -> bytes:
        """The next line, or so much of it; nothing at the end."""
        with self._waiting():
            return self._output.readline(most_bytes)

    def leave(self) -> None:
        """Says that all has come that matters: its end is neither waited for nor judged."""
        self._is_left = True

    def wait(self) -> int:
        """Its exit code; 0 where it was left.

        Raises:
            ConnectionLostError: it took too long, or nothing came or went any more.
        """
        if self._is_left:
            return 0
        with self._waiting():
            code = self._process.wait()
        if self._verdict is not None:
            raise self._verdict
        return code

    def close(self) -> None:
        """Ends it where it has not ended; what was not sent or read yet no longer matters."""
        self._ended.set()
        if self._process.poll() is None:
            self._process.terminate()  # first, because closing its input would wait for it
            try:
                self._process.wait(_ENDING_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        for stream in (self._process.stdin, self._output):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        self._process.wait()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self._waits_since_s = time.monotonic()
        try:
            yield
        finally:
            self._waits_since_s = None

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_UP_S):
            self._verdict = self._late() or self._silent()
            if self._verdict is not None:
                self._process.kill()
                return

    def _late(self) -> ConnectionLostError | None:
        passed_s = time.monotonic() - self._began_s
        if self._timeout_s is None or passed_s < self._timeout_s:
            return None
        return ConnectionLostError(
            f"{self._host}: no end of '{self._name}' in {self._timeout_s:g} s; the connection was "
            "given up."
        )

    def _silent(self) -> ConnectionLostError | None:
        since_s = self._waits_since_s
        if self._silence_s is None or since_s is None:
            return None
        if time.monotonic() - since_s < self._silence_s:
            return None
        return ConnectionLostError(
            f"{self._host}: nothing was taken and nothing came for {self._silence_s:g} s; the "
            "connection was given up."
        )
