"""The systemd user unit of ``edgevit run SOURCE --serve``, as text."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevit.common.errors import InputError
from edgevit.common.storage.cache import user_folder
from edgevit_runtimes.live.page.access import Listen
from edgevit_runtimes.sources.source_address import Kind, parse

_NAME = re.compile(r"[A-Za-z0-9][\w-]{0,62}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_COMMAND = "ExecStart="
_FINITE = (Kind.PICTURES, Kind.VIDEO, Kind.STDIN)
TOKEN_VARIABLE = "EDGEVIT_TOKEN"  # which ``edgevit run`` reads


@dataclass(frozen=True)
class Service:
    """What is to run.

    bundle: a bundle's folder, or a link to one such as ``deployed/main/current``, which is
    followed anew at every start. serve: HOST:PORT of the page. options: more of ``edgevit run``.

    Raises:
        InputError: a part of it cannot be used, or cannot be written in a unit.
    """

    bundle: Path
    source: str
    serve: str
    name: str = "camera"
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        refuse_service_name(self.name)
        Listen.parse(self.serve)
        kind = parse([self.source]).kind
        if kind in _FINITE:
            raise InputError(
                f"A service wants a camera or a stream, such as csi://0; got {kind.value}."
            )
        for word in (str(self.bundle), self.source, *self.options):
            if _CONTROL.search(word):
                raise InputError(f"{word!r} has a control character, which no unit can hold.")

    @property
    def unit(self) -> str:
        """Its name in systemd."""
        return unit_name(self.name)

    @property
    def command(self) -> tuple[str, ...]:
        run = (sys.executable, "-m", "edgevit", "run", str(self.bundle.absolute()), self.source)
        return (*run, "--serve", self.serve, *self.options)

    def text(self, token_file: Path) -> str:
        """The unit. The token is in a file of its own, so that no list of processes shows it."""
        return f"""\
# Written by 'edgevit service install'; removed by 'edgevit service remove'.
[Unit]
Description=edgevit run {escaped(self.source, in_command=False)}
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
Type=exec
EnvironmentFile={escaped(str(token_file), in_command=False)}
Environment=PYTHONUNBUFFERED=1
{_COMMAND}{" ".join(quoted(word) for word in self.command)}
KillSignal=SIGINT
SuccessExitStatus=130
TimeoutStopSec=30
Restart=on-failure
RestartSec=5
NoNewPrivileges=yes
UMask=0077

[Install]
WantedBy=default.target
"""


def refuse_service_name(name: str) -> None:
    """Raises InputError for a name that could mean something else in a path or a unit."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name[:80]!r} is no name for a service; use letters, digits, - and _, such as camera."
        )


def unit_name(name: str) -> str:
    return f"edgevit-{name}.service"


def unit_path(name: str) -> Path:
    """Where systemd looks for a user's units."""
    return user_folder("XDG_CONFIG_HOME", ".config").parent / "systemd" / "user" / unit_name(name)


def installed_services() -> list[str]:
    """Names of the services that have a unit here, sorted."""
    folder = unit_path("any").parent
    return sorted(file.stem.removeprefix("edgevit-") for file in folder.glob("edgevit-*.service"))


def bundle_of_unit(text: str) -> Path | None:
    """The bundle that a unit's ``edgevit run`` opens; None: it is no unit of ours."""
    commands = [line for line in text.splitlines() if line.startswith(_COMMAND)]
    try:
        words = shlex.split(commands[0].removeprefix(_COMMAND)) if commands else []
        bundle = words[words.index("run") + 1]
    except (ValueError, IndexError):  # a quotation mark too few; another command
        return None
    return Path(bundle.replace("%%", "%").replace("$$", "$"))


def token_path(name: str) -> Path:
    """An environment file that only its owner may read."""
    return user_folder("XDG_CONFIG_HOME", ".config") / "services" / f"{name}.env"


def quoted(word: str) -> str:
    """A word of ExecStart, which systemd passes on as it is (systemd.service, "Command lines")."""
    inside = escaped(word).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inside}"' if re.search(r"[^\w@%+=:,./$-]", inside) or not word else inside


def escaped(text: str, in_command: bool = True) -> str:
    """Without what systemd would replace: its specifiers, and in a command its variables."""
    without_specifiers = text.replace("%", "%%")
    return without_specifiers.replace("$", "$$") if in_command else without_specifiers


def run_options(values: Sequence[tuple[str, object]]) -> tuple[str, ...]:
    """Options that were given, as words."""
    return tuple(word for name, value in values if value is not None for word in (name, str(value)))
