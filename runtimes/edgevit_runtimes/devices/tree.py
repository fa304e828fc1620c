"""The files and vendor tools of a machine: this one, or another one recorded below a folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

from msgspec import Struct

# Tools whose output says what no file says. In a recorded tree it lies in tools/NAME.
TOOLS: dict[str, tuple[str, ...]] = {
    "uname": ("uname", "-srm"),
    "python": ("python3", "--version"),
    "nvpmodel": ("nvpmodel", "-q"),
    "nvidia-smi": (
        "nvidia-smi",
        "--query-gpu=name,driver_version,compute_cap,memory.total",
        "--format=csv,noheader,nounits",
    ),
    "jetpack": ("dpkg-query", "--show", "--showformat=${Version}", "nvidia-jetpack"),
}
_TOOL_TIMEOUT_S = 10.0
_MOST_BYTES = 1 << 18


class Tree(Struct, frozen=True):
    """Reads below ``root``; what cannot be read is None, never an empty or a zero value."""

    root: Path = Path("/")

    @property
    def is_live(self) -> bool:
        """Whether this is the machine that runs, and not a recording."""
        return self.root == Path("/")

    def text(self, path: str) -> str | None:
        """A file's text; None if it cannot be read, as a gated sensor cannot."""
        try:
            with (self.root / path).open("rb") as file:
                content: bytes | None = file.read(_MOST_BYTES)
        except OSError:
            return None
        # A sensor that is switched off answers EAGAIN, which Python reports as None.
        return None if content is None else content.decode(errors="replace")

    def line(self, path: str) -> str | None:
        """The text without surrounding blanks and NULs; None if there is none."""
        text = self.text(path)
        return (text.strip(" \t\r\n\0") or None) if text is not None else None

    def number(self, path: str) -> int | None:
        """A whole number that stands alone in a file."""
        line = self.line(path)
        try:
            return int(line) if line is not None else None
        except ValueError:
            return None

    def fields(self, path: str, separator: str = ":") -> dict[str, str]:
        """The first value of every ``key: value`` line; empty if the file cannot be read."""
        fields: dict[str, str] = {}
        for line in (self.text(path) or "").splitlines():
            key, found, value = line.partition(separator)
            if found:
                fields.setdefault(key.strip(), value.strip())
        return fields

    def glob(self, pattern: str) -> list[str]:
        """Paths that match, without the root, in a steady order."""
        found = [str(path.relative_to(self.root)) for path in self.root.glob(pattern)]
        return sorted(found, key=lambda path: (len(path), path))  # policy2 before policy10

    def tool(self, name: str) -> str | None:
        """What a vendor tool prints; None if it is not there, fails or hangs."""
        if not self.is_live:
            return self.line(f"tools/{name}")
        try:
            ended = subprocess.run(
                TOOLS[name],
                capture_output=True,
                check=True,
                timeout=_TOOL_TIMEOUT_S,
                stdin=subprocess.DEVNULL,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return ended.stdout.decode(errors="replace").strip() or None
