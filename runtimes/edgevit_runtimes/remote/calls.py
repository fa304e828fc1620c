"""Jobs for the agent on a device, and its answers."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgevit.common.errors import CheckFailedError, DeviceError
from edgevit.common.untrusted.sanitize import harmless
from edgevit_runtimes.remote import protocol
from edgevit_runtimes.remote.running import Running
from edgevit_runtimes.remote.ssh import Ssh

_ANSWER_TIMEOUT_S = 120.0  # of an answer, however much is said before it
_SILENCE_S = 120.0  # a run says every few seconds that it goes on


def ask(ssh: Ssh, job: dict[str, Any]) -> dict[str, Any]:
    """One job, one answer, which counts when it is there.

    The end of the agent's command is not waited for: a run that it started may keep the output of
    that command open as long as it lives, as every process under proot does.

    Raises:
        DeviceError, CheckFailedError: it cannot be reached, is not set up, or refuses.
    """
    with conversation(ssh, job, timeout_s=_ANSWER_TIMEOUT_S) as running:
        running.end_input()
        answer = next(protocol.messages(running, ssh.device.host), None)
        if answer is not None:
            running.leave()
    return required(answer, ssh.device.host)


@contextmanager
def conversation(
    ssh: Ssh, job: dict[str, Any], endless: bool = False, timeout_s: float | None = None
) -> Iterator[Running]:
    """A job whose answers are read while it runs; its standard input stays open for more.

    Args:
        endless: it may say nothing for as long as it likes, as a camera at night does.
        timeout_s: the conversation as a whole is given up after so long; None: never.

    Raises:
        ConnectionLostError: the device took or said nothing for two minutes, or it took too long.
    """
    try:
        silence_s = None if endless else _SILENCE_S
        with ssh.streaming(_agent(ssh), subprocess.PIPE, timeout_s, silence_s) as running:
            running.write(_line(job))
            yield running
    except DeviceError as error:
        raise _explained(ssh, error) from error


def required(answer: dict[str, Any] | None, host: str) -> dict[str, Any]:
    """An answer that is no error; None: the device ended well, and said nothing.

    Raises:
        DeviceError, CheckFailedError: there is none, or it is one.
    """
    if answer is None:
        raise DeviceError(f"{host} answered nothing that edgevit understands. Set it up again.")
    refuse_error(answer, host)
    return answer


def refuse_error(answer: dict[str, Any], host: str) -> None:
    """The device's error as our own, with the exit code that it would have there."""
    if "error" in answer:
        message = f"{host}: {harmless(str(answer['error']))}"
        raise CheckFailedError(message) if answer.get("code") == 1 else DeviceError(message)


def _agent(ssh: Ssh) -> list[str]:
    folder = ssh.device.folder
    return [f"{folder}/venv/bin/python", "-m", "edgevit_runtimes.remote.agent", folder]


def _line(job: dict[str, Any]) -> bytes:
    return json.dumps(job).encode() + b"\n"


def _explained(ssh: Ssh, error: DeviceError) -> DeviceError:
    if not error.missing and "No module named" not in str(error):
        return error
    host = ssh.device.host
    return DeviceError(
        f"edgevit is not set up on {host}. Do that with: edgevit devices setup {host}"
    )
