"""Commands on another machine by plain OpenSSH, so that a person's config, keys and agent count."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from edgevit.common.errors import ConnectionLostError, DeviceError, InputError
from edgevit.common.untrusted.sanitize import harmless, last_line
from edgevit_runtimes.remote.device_address import Device
from edgevit_runtimes.remote.device_list import find_device, known_names, read_devices
from edgevit_runtimes.remote.running import Running

_NOT_FOUND, _SSH_FAILED = 127, 255
_MOST_BYTES = 64 << 20
_TAIL_BYTES = 8192
_ENDING_S = 10.0
# What OpenSSH says, in lower case, and what a person can do about it.
_REFUSALS = (
    (
        "remote host identification has changed",
        "its host key has changed: it was set up anew, or something stands in between. If you know "
        "why, forget the old key with: ssh-keygen -R ADDRESS",
    ),
    (
        "host key verification failed",
        "its host key is not known here. Connect once by hand and compare it: ssh {host}",
    ),
    (
        "could not resolve hostname",
        "no device that was added, host of your ssh config or address has this name. {known} Check "
        "the name, or add the device with: edgevit devices add NAME USER@ADDRESS",
    ),
    ("permission denied", "it refuses our key. Bring it there with: ssh-copy-id {host}"),
    ("connection refused", "nothing answers there. Is its SSH server running?"),
    ("no route to host", "there is no way to it. Is it switched on, in this network?"),
    ("timed out", "it does not answer. Is it switched on, in this network?"),
)
_LOST = ("closed", "reset", "broken pipe", "not responding", "client_loop", "disconnect")


class Ssh:
    """A device, and one connection that all commands share. A context manager."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._sockets = Path(tempfile.mkdtemp(prefix="edgevit-"))

    def run(
        self, command: Sequence[str], content: bytes = b"", timeout_s: float | None = 120
    ) -> str:
        """Standard output of a command; every word reaches it as it is, whatever stands in it.

        Raises:
            DeviceError: it failed; says why. ConnectionLostError: in the middle.
        """
        with tempfile.TemporaryFile() as given:
            given.write(content)
            given.seek(0)
            with self.streaming(command, given, timeout_s) as running:
                answer = running.read(_MOST_BYTES + 1)
                if len(answer) > _MOST_BYTES:
                    raise DeviceError(
                        f"{self.device.host}: '{command[0]}' says more than "
                        f"{_MOST_BYTES >> 20} MiB; it is not used."
                    )
        return answer.decode(errors="replace")

    @contextmanager
    def streaming(
        self,
        command: Sequence[str],
        content: IO[bytes] | int = subprocess.DEVNULL,
        timeout_s: float | None = None,
        silence_s: float | None = None,
    ) -> Iterator[Running]:
        """A command whose output is read while it runs; it is ended with the block.

        Args:
            timeout_s, silence_s: see :class:`.Running`.

        Raises:
            DeviceError: when the block has ended, if the command failed.
            ConnectionLostError: it took too long, or took or said nothing any more.
        """
        process = subprocess.Popen(
            self._call(command), stdin=content, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        said = _Tail(process.stderr)
        name = Path(command[0]).name
        running = Running(process, self.device.host, name, timeout_s, silence_s)
        try:
            yield running
            code = running.wait()
        finally:
            running.close()
        if code:
            raise self.failure(code, said.text(), command)

    def _call(self, command: Sequence[str]) -> list[str]:
        options = {
            "ControlMaster": "auto",
            "ControlPath": str(self._sockets / "%C"),
            "ControlPersist": "30",
            "ConnectTimeout": "20",
            "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3",
        }
        if not sys.stdin.isatty():
            options["BatchMode"] = "yes"  # nobody is there to type a passphrase
        listed = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
        return [*ssh_command(), "-T", *listed, "--", self.device.host, shlex.join(command)]

    def failure(self, code: int, said: str, command: Sequence[str]) -> DeviceError:
        """What went wrong, from ssh's exit code and what was said on standard error."""
        host = self.device.host
        if code == _NOT_FOUND:
            return DeviceError(f"{host}: there is no '{Path(command[0]).name}'.", missing=True)
        lowered = said.lower()
        if code != _SSH_FAILED:
            return DeviceError(f"{host}: {last_line(said)} (exit code {code})")
        for pattern, advice in _REFUSALS:
            if pattern in lowered:
                known = known_names(read_devices())
                return DeviceError(f"{host}: {advice.format(host=host, known=known)}")
        if not said.strip() or any(word in lowered for word in _LOST):
            return ConnectionLostError(f"{host}: the connection was lost.")
        return DeviceError(f"{host}: ssh failed: {last_line(said)}")

    def close(self) -> None:
        """Ends the shared connection."""
        for socket in self._sockets.iterdir():
            call = [*ssh_command(), "-o", f"ControlPath={socket}", "-O", "exit", "--"]
            with suppress(subprocess.TimeoutExpired):  # it ends by itself, ControlPersist says when
                subprocess.run(
                    [*call, self.device.host], capture_output=True, check=False, timeout=_ENDING_S
                )
        shutil.rmtree(self._sockets, ignore_errors=True)

    def __enter__(self) -> Ssh:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Tail:
    """The last of what a process says on standard error, however much that is."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        self._stream = stream
        self._last = b""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream:
            while chunk := self._stream.read1(_TAIL_BYTES):  # type: ignore[attr-defined]
                self._last = (self._last + chunk)[-_TAIL_BYTES:]

    def text(self) -> str:
        # ssh's shared connection may outlive the command and keep standard error open.
        self._thread.join(timeout=0.2)
        return self._last.decode(errors="replace")


def ssh_command() -> list[str]:
    """``ssh``, or what ``EDGEVIT_SSH`` says, such as ``ssh -F other_config``.

    Raises:
        InputError: it is no command line; a quote is not closed.
    """
    said = os.environ.get("EDGEVIT_SSH", "")
    try:
        return shlex.split(said) or ["ssh"]
    except ValueError as error:
        raise InputError(
            f"EDGEVIT_SSH is {harmless(repr(said))}, which is no command ({error}). "
            "Set it to one such as 'ssh -F other_config', or unset it."
        ) from error


@contextmanager
def connection(name: str) -> Iterator[Ssh]:
    """A device by the name that was added for it, or by its address.

    Raises:
        DeviceError: it cannot be reached. InputError: it is no address.
    """
    with Ssh(find_device(name)) as ssh:
        yield ssh
