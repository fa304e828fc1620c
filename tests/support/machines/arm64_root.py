"""An aarch64 Debian 12 root that runs here under emulation: ``make test-arm64`` builds it.

Debian packages: debootstrap, qemu-user-static, proot. The second stage runs under proot with
qemu, so that the kernel's table of binary formats stays as it is. Some minutes, 600 MiB.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

TOOLS = ("debootstrap", "qemu-aarch64-static", "proot")
_PACKAGES = "python3,python3-venv"
_CRASH, _ATTEMPTS = "qemu: uncaught target signal", 6
_DONE = "edgevit-root-is-complete"
_ENVIRONMENT = (
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "LANG=C.UTF-8",
    "DEBIAN_FRONTEND=noninteractive",
)


def missing_tools() -> list[str]:
    return [tool for tool in TOOLS if shutil.which(tool, path="/usr/sbin:/usr/bin:/bin") is None]


def emulated(root: Path, *binds: Path) -> list[str]:
    """The words before a command that is to run inside; ``binds`` are seen there as they are.

    The folders above them are made in the root and stay: proot makes those that are missing, and
    takes them away when it ends, also from another proot that runs still. To that one nothing below
    exists any more, and a folder in a bind "is not a folder".
    """
    for path in binds:
        (root / path.absolute().relative_to("/")).parent.mkdir(parents=True, exist_ok=True)
    seen = ["/proc", "/dev", "/etc/resolv.conf", *map(str, binds)]
    return [
        *("proot", "-q", "qemu-aarch64-static", "-0", "-r", str(root), "-w", "/"),
        *(word for path in seen for word in ("-b", path)),
        *("/usr/bin/env", "-i", *_ENVIRONMENT),
    ]


def run(root: Path, *command: object, binds: tuple[Path, ...] = ()) -> str:
    """Standard output of a command inside; again if the emulator crashed, and that is printed.

    qemu 7.2 kills the command line with signal 11 in two of five runs. The same calls from a script
    never did, and on x86 glibc's heap checks find nothing.
    """
    words = [*emulated(root, *binds), *map(str, command)]
    for attempt in range(1, _ATTEMPTS + 1):
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        if _CRASH not in ended.stderr:
            break
        print(f"the emulator crashed, attempt {attempt}: {shlex.join(map(str, command))}")
    assert ended.returncode == 0, (
        f"{shlex.join(words)}\n{ended.stdout[-2000:]}{ended.stderr[-4000:]}"
    )
    return ended.stdout


def build(root: Path) -> None:
    """Makes the root, unless it is complete."""
    if (root / _DONE).is_file():
        return
    if missing := missing_tools():
        sys.exit(f"error: {', '.join(missing)} missing; apt-get install {' '.join(TOOLS)}")
    first = ["debootstrap", "--arch=arm64", "--foreign", "--variant=minbase"]
    first += [f"--include={_PACKAGES}", "bookworm", str(root)]
    if not (root / "debootstrap").is_dir():
        subprocess.run(first, check=True)
    run(root, "DEBOOTSTRAP_DIR=/debootstrap", "/debootstrap/debootstrap", "--second-stage")
    (root / _DONE).touch()


if __name__ == "__main__":
    build(Path(sys.argv[1]).resolve())
