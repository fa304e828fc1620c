"""A real OpenSSH server on loopback, with keys of its own."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.needs import need_tool
from support.processes import environment

_SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@dataclass(frozen=True)
class Loopback:
    """A server, and what a client needs. ``host`` is a name of the client's ssh config."""

    base: Path
    process: subprocess.Popen[bytes]
    host: str = "loopback"

    @property
    def ssh(self) -> str:
        """For ``EDGEVIT_SSH``."""
        return f"ssh -F {self.base / 'ssh_config'}"

    @property
    def known_hosts(self) -> Path:
        return self.base / "known_hosts"

    @property
    def identity(self) -> Path:
        return self.base / "user_key"

    def sessions(self) -> list[int]:
        """Process ids of the connections that it serves, and of theirs."""
        found, parents = [], {self.process.pid}
        for _ in range(3):
            children = [pid for pid, parent in _parents().items() if parent in parents]
            found += [pid for pid in children if _name(pid).startswith("sshd")]
            parents = set(children)
        return found


def _parents() -> dict[int, int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it ended meanwhile
    return parents


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


@contextmanager
def loopback(base: Path, path: str | None = None) -> Iterator[Loopback]:
    """Starts a server.

    Args:
        path: what ``PATH`` is for those who log in.
    """
    need_tool("ssh")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where its privilege separation wants to be
    for name in ("host_key", "user_key", "other_key"):
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(base / name)]
        subprocess.run(keygen, check=True)
    port = _free_port()
    _write_server(base, port, path)
    _write_client(base, port)
    command = [_SSHD, "-D", "-e", "-f", str(base / "sshd_config")]
    with (base / "sshd.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(port, process, base)
        yield Loopback(base, process)
    finally:
        process.terminate()
        process.wait()


def _write_server(base: Path, port: int, path: str | None) -> None:
    lines = [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {base / 'host_key'}",
        f"AuthorizedKeysFile {base / 'user_key.pub'}",
        f"PidFile {base / 'sshd.pid'}",
        "UsePAM no",
        "StrictModes no",
        "PermitRootLogin yes",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PrintMotd no",
    ]
    # A home without a person's own .bashrc, which may change PATH and print what it likes.
    lines.append(f"SetEnv HOME={base}" + (f" PATH={path}" if path is not None else ""))
    (base / "sshd_config").write_text("\n".join(lines) + "\n")


def _write_client(base: Path, port: int) -> None:
    (base / "ssh_config").write_text(
        f"Host loopback\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
        f"  IdentityFile {base / 'user_key'}\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {base / 'known_hosts'}\n  StrictHostKeyChecking yes\n"
        "Host *\n  IdentityAgent none\n"
    )
    key = " ".join((base / "host_key.pub").read_text().split()[:2])
    (base / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}\n")


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def _wait(port: int, process: subprocess.Popen[bytes], base: Path) -> None:
    for _ in range(200):
        assert process.poll() is None, (base / "sshd.log").read_text()
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("sshd does not listen")


def stand_in_device(folder: Path, script: str | None = None) -> Path:
    """What ``devices setup`` leaves behind, without pip: a Python there that finds edgevit.

    Args:
        script: what that Python is instead, in ``sh``.
    """
    python = folder / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    path = shlex.quote(environment()["PYTHONPATH"])
    ours = f'PYTHONPATH={path} exec {shlex.quote(sys.executable)} "$@"'
    python.write_text(f"#!/bin/sh\n{script or ours}\n")
    python.chmod(0o755)
    return folder
