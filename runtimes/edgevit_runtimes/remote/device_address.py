"""Devices by name: ``devices.toml`` in the user's configuration, and what may stand in it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgevit.common.errors import InputError
from edgevit.common.schema import typed
from edgevit.common.storage.cache import user_folder
from edgevit.common.storage.files import cannot_write, write_atomically
from edgevit.common.storage.locks import locked
from edgevit.common.untrusted.bounded import read_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MOST_BYTES = 1 << 20
DEFAULT_FOLDER = ".cache/edgevit-device"
_USER = r"(?:[A-Za-z0-9_][\w.-]*@)?"
_HOST = r"(?:[A-Za-z0-9_][\w.-]*|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]+(?:%\w+)?)"
_ADDRESS = re.compile(rf"{_USER}{_HOST}|ssh://{_USER}{_HOST}(?::(?P<port>[0-9]{{1,5}}))?")
_LAST_PORT = 65535
_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,62}")
_FOLDER = re.compile(r"[\w./ +@-]*[\w+@-]")


@dataclass(frozen=True)
class Device:
    """A machine that is reached over SSH.

    host: ``user@address``, ``ssh://user@address:port``, or a name from the person's ssh config.
    folder: where edgevit keeps its things there; relative to the home folder, or absolute.
    """

    host: str
    folder: str = DEFAULT_FOLDER

    def __post_init__(self) -> None:
        matched = _ADDRESS.fullmatch(self.host)
        if not matched:
            raise InputError(
                f"{_without_password(self.host)[:80]!r} is no address; expected user@address, "
                "ssh://user@address:port, or a name from your ssh config."
            )
        if matched["port"] and not 1 <= int(matched["port"]) <= _LAST_PORT:
            raise InputError(
                f"{self.host[:80]!r} has port {matched['port']}; expected 1 to {_LAST_PORT}."
            )
        if not _FOLDER.fullmatch(self.folder) or self.folder.startswith("-"):
            raise InputError(
                f"{self.folder[:80]!r} is no folder for a device; letters, digits, spaces and "
                "any of ./+@_- may stand in it."
            )


def _without_password(host: str) -> str:
    """What a person typed, as an error may repeat it: a password is not for screens and logs."""
    return re.sub(r"\A((?:\w+://)?[^:@]*):.*@", r"\1:***@", host, flags=re.DOTALL)


def devices_file() -> Path:
    """Where the names are kept; it may not exist yet."""
    return user_folder("XDG_CONFIG_HOME", ".config") / "devices.toml"


def read_devices() -> dict[str, Device]:
    """Name to device, in the order of the file.

    Raises:
        InputError: the file is malformed; the line or the entry is named.
    """
    file = devices_file()
    if not file.exists():
        return {}
    try:
        content = tomllib.loads(read_text(file, _MOST_BYTES, "list of devices"))
    except ValueError as error:
        raise InputError(f"Cannot read {file}: {error}. Mend or delete it.") from error
    except RecursionError as error:
        raise InputError(f"Cannot read {file}: nested too deep. Mend or delete it.") from error
    return {name: _device(file, name, entry) for name, entry in content.items()}


def _device(file: Path, name: str, entry: Any) -> Device:
    try:
        _check_name(name)
        return typed(Device, entry, where=f"[{name}]")
    except (ValueError, InputError) as error:
        reason = str(error).rstrip(".")
        raise InputError(f"{file}: {reason}. Mend it; an entry is [name] and host = ...") from error


def write_devices(devices: dict[str, Device]) -> None:
    """Replaces the file, whole or not at all. JSON's strings are TOML's."""
    lines = []
    for name, device in devices.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in asdict(device).items()]
        lines.append("")
    text = "\n".join(lines)
    write_atomically(devices_file(), lambda aside: aside.write_text(text, encoding="utf-8"))


def add_device(name: str, device: Device) -> None:
    _check_name(name)
    with _changing():
        write_devices({**read_devices(), name: device})


def remove_device(name: str) -> None:
    """
    Raises:
        InputError: there is no device of that name.
    """
    with _changing():
        devices = read_devices()
        if name not in devices:
            raise InputError(f"There is no device '{name}'. {_known(devices)}")
        del devices[name]
        write_devices(devices)


@contextmanager
def _changing() -> Iterator[None]:
    """One process at a time reads the file, changes it and writes it.

    Raises:
        InputError: its folder cannot be written to, or another process does not end.
    """
    file = devices_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with locked(file):
            yield
    except OSError as error:
        raise cannot_write(file, error) from error


def find_device(name_or_host: str) -> Device:
    """A device by its name in ``devices.toml``, or else an address."""
    devices = read_devices()
    return devices[name_or_host] if name_or_host in devices else Device(name_or_host)


def _known(devices: dict[str, Device]) -> str:
    return f"Known: {', '.join(devices)}." if devices else "None is known yet."


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:80]!r} is no name for a device; use letters, digits, - and _, such as jetson."
        )
