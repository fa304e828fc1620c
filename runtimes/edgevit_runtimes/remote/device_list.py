"""Devices and fleets by name: ``devices.toml`` in the user's configuration.

[jetson]
host = "me@jetson.local"
folder = ".cache/edgevit-device"

[fleets]
kitchen = ["jetson", "pi@raspberrypi.local"]
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgevit.common.errors import InputError
from edgevit.common.schema import typed
from edgevit.common.storage.cache import user_folder
from edgevit.common.storage.files import cannot_write, write_atomically
from edgevit.common.storage.locks import locked
from edgevit.common.untrusted.bounded import read_text
from edgevit.common.untrusted.toml_text import parse_toml
from edgevit_runtimes.remote.device_address import Device, check_name

_MOST_BYTES = 1 << 20
_FLEETS = "fleets"
_MOST_DEVICES = 256

Fleets = Mapping[str, tuple[str, ...]]


def devices_file() -> Path:
    """Where the names are kept; it may not exist yet."""
    return user_folder("XDG_CONFIG_HOME", ".config") / "devices.toml"


def read_devices() -> dict[str, Device]:
    """Name to device, in the order of the file.

    Raises:
        InputError: the file is malformed; the line or the entry is named.
    """
    content = _content()
    return {n: _device(devices_file(), n, entry) for n, entry in content.items() if n != _FLEETS}


def read_fleets() -> Fleets:
    """Name of a fleet to its devices, by their names or addresses.

    Raises:
        InputError: the file is malformed.
    """
    file, content = devices_file(), _content().get(_FLEETS, {})
    try:
        return typed(dict[str, tuple[str, ...]], content, where=f"[{_FLEETS}]")
    except ValueError as error:
        raise InputError(
            f"{file}: {str(error).rstrip('.')}. Mend it; a fleet is a line such as "
            'kitchen = ["jetson", "pi"] below [fleets]'
        ) from error


def _content() -> dict[str, Any]:
    file = devices_file()
    if not file.exists():
        return {}
    try:
        return parse_toml(read_text(file, _MOST_BYTES, "list of devices"))
    except ValueError as error:
        raise InputError(f"Cannot read {file}: {error}. Mend or delete it.") from error


def _device(file: Path, name: str, entry: Any) -> Device:
    try:
        check_name(name)
        return typed(Device, entry, where=f"[{name}]")
    except (ValueError, InputError) as error:
        reason = str(error).rstrip(".")
        raise InputError(f"{file}: {reason}. Mend it; an entry is [name] and host = ...") from error


def _write(devices: Mapping[str, Device], fleets: Fleets) -> None:
    """Replaces the file, whole or not at all. JSON's strings and lists are TOML's."""
    lines = []
    for name, device in devices.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in asdict(device).items()]
        lines.append("")
    if fleets:
        lines.append(f"[{_FLEETS}]")
        lines += [f"{name} = {json.dumps(list(members))}" for name, members in fleets.items()]
        lines.append("")
    text = "\n".join(lines)
    write_atomically(devices_file(), lambda aside: aside.write_text(text, encoding="utf-8"))


def add_device(name: str, device: Device) -> None:
    """
    Raises:
        InputError: it is no name, or the one that the file has for its fleets.
    """
    check_name(name)
    if name == _FLEETS:
        raise InputError(f"No device can be called '{_FLEETS}'; choose another name.")
    with _changing():
        _write({**read_devices(), name: device}, read_fleets())


def remove_device(name: str) -> None:
    """
    Raises:
        InputError: there is no device of that name.
    """
    with _changing():
        devices = read_devices()
        if name not in devices:
            raise InputError(f"There is no device '{name}'. {known_names(devices)}")
        del devices[name]
        without = {f: tuple(n for n in m if n != name) for f, m in read_fleets().items()}
        _write(devices, {fleet: members for fleet, members in without.items() if members})


def set_fleet(name: str, members: Sequence[str]) -> None:
    """Makes a fleet of devices, or replaces it.

    Raises:
        InputError: it is no name, a member is no address, or is there twice.
    """
    check_name(name)
    _refuse_members(members)
    with _changing():
        _write(read_devices(), {**read_fleets(), name: tuple(members)})


def remove_fleet(name: str) -> None:
    """
    Raises:
        InputError: there is no fleet of that name.
    """
    with _changing():
        fleets = dict(read_fleets())
        _refuse_unknown_fleet(name, fleets)
        del fleets[name]
        _write(read_devices(), fleets)


def hosts_of(hosts: Sequence[str], fleet: str | None) -> tuple[str, ...]:
    """The devices of ``--host``, which may be repeated, and of ``--fleet``.

    Raises:
        InputError: there is no such fleet, or a device is there twice.
    """
    members: tuple[str, ...] = ()
    if fleet is not None:
        fleets = read_fleets()
        _refuse_unknown_fleet(fleet, fleets)
        members = fleets[fleet]
    named = (*hosts, *members)
    if named:
        _refuse_members(named)
    return named


def _refuse_members(members: Sequence[str]) -> None:
    if not members or len(members) > _MOST_DEVICES:
        raise InputError(f"A fleet has 1 to {_MOST_DEVICES} devices; got {len(members)}.")
    names: dict[Device, list[str]] = {}
    for member in members:
        names.setdefault(find_device(member), []).append(member)
    for device, same in names.items():
        if len(set(same)) > 1:
            raise InputError(f"{' and '.join(same)} are one device, {device.host}. Give one name.")
        if len(same) > 1:
            raise InputError(f"{same[0]} is given more than once; a device is used once.")


def _refuse_unknown_fleet(name: str, fleets: Fleets) -> None:
    if name not in fleets:
        known = f"Known: {', '.join(fleets)}." if fleets else "No fleet has been made yet."
        raise InputError(
            f"There is no fleet '{name}'. {known} Make one with: edgevit devices fleet {name} "
            "DEVICE DEVICE"
        )


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


def known_names(devices: Mapping[str, Device]) -> str:
    """For messages: the names that there are."""
    return f"Known: {', '.join(devices)}." if devices else "No device has been added yet."
