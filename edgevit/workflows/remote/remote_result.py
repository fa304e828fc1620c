"""What came back from another machine: its document for programs, its text for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgevit.common.errors import CheckFailedError, DeviceError
from edgevit.common.result import Result
from edgevit.common.tables import Section
from edgevit.common.untrusted.sanitize import harmless, printable


@dataclass(frozen=True)
class RemoteResult(Result):
    """A result of ``edgevit verify``, ``eval`` or ``compile`` on a device.

    host: the device, as it was named. document: what ``--json`` prints there.
    failure: why the result does not hold, with the exit code; None if it does.
    """

    host: str
    document: dict[str, Any]
    text: str
    failure: tuple[str, int] | None = None

    @classmethod
    def of(cls, host: str, said: dict[str, Any]) -> RemoteResult:
        """
        Raises:
            DeviceError: what the device said is no result.
        """
        document, text = said.get("document"), said.get("text")
        if not isinstance(document, dict) or not isinstance(text, str):
            raise DeviceError(f"{host} sent what is no result of edgevit.")
        failure = said.get("failure")
        told = None
        if isinstance(failure, dict):
            told = (harmless(str(failure.get("message"))), 2 if failure.get("code") == 2 else 1)
        return cls(host, document, printable(text), told)

    @property
    def holds(self) -> bool:
        return self.failure is None

    def require(self) -> None:
        """
        Raises:
            CheckFailedError, DeviceError: the result does not hold.
        """
        if self.failure is None:
            return
        message, code = self.failure
        error = CheckFailedError if code == 1 else DeviceError
        raise error(f"{self.host}: {message}")

    def to_dict(self) -> dict[str, Any]:
        return {"host": self.host, **self.document}

    def sections(self) -> list[Section]:
        return [f"on {self.host}:", *self.text.splitlines()]
