"""Installs, asks and removes a user's service by ``systemctl --user``."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgevit.common.errors import DeviceError, InputError
from edgevit.common.result import Result
from edgevit.common.storage.files import write_atomically
from edgevit.common.tables import Section, Table
from edgevit.common.untrusted.sanitize import last_line
from edgevit_runtimes.live.page.access import make_token
from edgevit_runtimes.service.unit_file import (
    TOKEN_VARIABLE,
    Service,
    installed_services,
    refuse_service_name,
    token_path,
    unit_name,
    unit_path,
)

_TIMEOUT_S = 60
_TOKEN = re.compile(r"[\w.~+/=-]{16,256}")
_ASKED = ("ActiveState", "SubState", "MainPID", "NRestarts", "Result", "UnitFileState")


@dataclass(frozen=True)
class ServiceStatus(Result):
    """What systemd says. state: such as ``active``. pid: 0 where it does not run.

    starts_with_device: None where systemd does not say whether the user lingers.
    """

    name: str
    unit: str
    token_file: str
    state: str
    substate: str
    enabled: str
    result: str
    pid: int
    restarts: int
    starts_with_device: bool | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def sections(self) -> list[Section]:
        name = unit_name(self.name)
        rows = [
            ("state", f"{self.state} ({self.substate}), {self.enabled}"),
            ("last result", self.result),
            ("process", str(self.pid) if self.pid else "none"),
            ("restarts", str(self.restarts)),
            ("unit", self.unit),
            ("token of the page", f"in {self.token_file}"),
        ]
        lines = [f"log: journalctl --user --unit {name}"]
        if self.starts_with_device is False:
            user = getpass.getuser()
            lines.append(
                f"starts at login only; with the device: sudo loginctl enable-linger {user}"
            )
        return [Table(name, ("", ""), rows), *lines]


def install(service: Service, token_file: Path | None = None) -> ServiceStatus:
    """Writes unit and token, and starts the service now and at every start of the device.

    A token that is there from before stays. Where the service cannot be started, what was there
    before is put back.

    Args:
        token_file: a file that holds the token; by default one is made.

    Raises:
        InputError: the token cannot be used, or a file cannot be written.
        DeviceError: there is no systemd for this user, or it refuses; says why.
    """
    _systemctl("--version")
    unit, tokens = unit_path(service.name), token_path(service.name)
    former = {file: file.read_bytes() if file.exists() else None for file in (unit, tokens)}
    token = _token(token_file, former[tokens])
    try:
        _write_secret(tokens, token)
        write_atomically(unit, lambda aside: aside.write_text(service.text(tokens)))
        _systemctl("daemon-reload")
        _systemctl("enable", service.unit)
        _systemctl("restart", service.unit)
    except DeviceError:
        _put_back(former)
        with suppress(DeviceError):  # the reason for which it could not be started is to be shown
            _systemctl("daemon-reload")
        raise
    with suppress(OSError, subprocess.SubprocessError):
        # Refused where a user may not; then the status says what to type.
        subprocess.run(
            ["loginctl", "enable-linger"], capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    return status(service.name)


def status(name: str) -> ServiceStatus:
    """
    Raises:
        InputError: there is no such service. DeviceError: there is no systemd for this user.
    """
    _refuse_unknown(name)
    said = _systemctl("show", unit_name(name), *(f"--property={key}" for key in _ASKED))
    found = dict(line.partition("=")[::2] for line in said.splitlines())
    return ServiceStatus(
        name=name,
        unit=str(unit_path(name)),
        token_file=str(token_path(name)),
        state=found.get("ActiveState", "unknown"),
        substate=found.get("SubState", "unknown"),
        enabled=found.get("UnitFileState") or "not enabled",
        result=found.get("Result", "unknown"),
        pid=_number(found.get("MainPID")),
        restarts=_number(found.get("NRestarts")),
        starts_with_device=_lingers(),
    )


def is_active(name: str) -> bool:
    """Whether a service runs, or is being started.

    Raises:
        DeviceError: there is no systemd for this user.
    """
    said = _systemctl("show", unit_name(name), "--property=ActiveState", "--value")
    return said.strip() in ("active", "activating", "reloading")


def restart(name: str) -> None:
    """
    Raises:
        DeviceError: systemd could not start it; says why.
    """
    _systemctl("restart", unit_name(name))


def remove(name: str) -> None:
    """Stops a service, and deletes its unit and its token.

    Raises:
        InputError: there is no such service. DeviceError: systemd refuses.
    """
    _refuse_unknown(name)
    _systemctl("disable", "--now", unit_name(name))
    for file in (unit_path(name), token_path(name)):
        file.unlink(missing_ok=True)
    _systemctl("daemon-reload")


def _refuse_unknown(name: str) -> None:
    refuse_service_name(name)
    if not unit_path(name).is_file():
        known = installed_services()
        listed = (
            f"There are: {', '.join(known)}."
            if known
            else "No service is installed; install one with: edgevit service install BUNDLE SOURCE"
        )
        raise InputError(f"There is no service '{name}'. {listed}")


def _token(file: Path | None, former: bytes | None) -> str:
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"Cannot read the token from {file}: {error}.") from error
        if not _TOKEN.fullmatch(token):
            raise InputError(
                f"{file} holds no token that can be used; expected 16 to 256 letters and digits."
            )
        return token
    kept = (former or b"").decode(errors="replace").strip().partition("=")[2]
    return kept if _TOKEN.fullmatch(kept) else make_token()


def _write_secret(file: Path, token: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    aside = file.with_name(f".{file.name}.new")
    aside.unlink(missing_ok=True)
    aside.touch(mode=0o600)  # before there is anything to read
    aside.write_text(f"{TOKEN_VARIABLE}={token}\n", encoding="utf-8")
    aside.replace(file)


def _put_back(former: dict[Path, bytes | None]) -> None:
    for file, content in former.items():
        if content is None:
            file.unlink(missing_ok=True)
        else:
            file.write_bytes(content)


def _systemctl(*words: str) -> str:
    """
    Raises:
        DeviceError: it is not there, fails or hangs.
    """
    if shutil.which("systemctl") is None:
        raise DeviceError("There is no systemctl here, so there can be no service of systemd.")
    command = ["systemctl", "--user", *words]
    try:
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
            env=_with_the_users_systemd(),
        )
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"'{' '.join(command)}' did not end in {_TIMEOUT_S} s.") from error
    if ended.returncode:
        raise DeviceError(f"'{' '.join(command)}' failed: {last_line(ended.stderr)}")
    return ended.stdout


def _with_the_users_systemd() -> dict[str, str]:
    """The environment; a connection over SSH may lack where the user's systemd listens."""
    place = Path(f"/run/user/{os.getuid()}")
    known = {"XDG_RUNTIME_DIR": str(place)} if place.is_dir() else {}
    return {**known, **os.environ}


def _lingers() -> bool | None:
    """Whether the user's services start before anybody logs in."""
    command = ["loginctl", "show-user", getpass.getuser(), "--property=Linger", "--value"]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"yes": True, "no": False}.get(ended.stdout.strip())


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
