"""Records what :mod:`.machine` and :mod:`.sensors` read, as one text file that people can attach.

The recorder is a POSIX shell script, so it runs where there is no Python, or too old a one. It
leaves serial numbers out::

    @ /proc/device-tree/model           a file and its lines, each behind a bar; NUL is a new line
    |NVIDIA Jetson Orin Nano Developer Kit
    ? /usr/lib/aarch64-linux-gnu/libnvinfer.so.10.3.0       it exists; what it holds is not read
"""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatchcase
from pathlib import Path

from edgevit.common.errors import InputError
from edgevit_runtimes.devices.tree import TOOLS

MOST_BYTES = 4 << 20
_FILE_BYTES = 65536
_CPU = "sys/devices/system/cpu"
_FILES = (
    "proc/cpuinfo",
    "proc/meminfo",
    "proc/device-tree/model",
    "proc/device-tree/compatible",
    "etc/os-release",
    "etc/nv_tegra_release",
    "etc/nvpmodel.conf",
    "var/lib/nvpmodel/status",
    "usr/local/cuda/version.json",
    "sys/class/dmi/id/sys_vendor",
    "sys/class/dmi/id/product_name",
    f"{_CPU}/cpu0/cpufreq/scaling_governor",
    f"{_CPU}/cpufreq/policy*/scaling_*_freq",
    f"{_CPU}/cpu*/thermal_throttle/*_throttle_count",
    "sys/class/devfreq/*/*_freq",
    "sys/class/devfreq/*/governor",
    "sys/class/thermal/thermal_zone*/type",
    "sys/class/thermal/thermal_zone*/temp",
    "sys/class/thermal/cooling_device*/type",
    "sys/class/thermal/cooling_device*/cur_state",
    "sys/class/hwmon/hwmon*/name",
    "sys/class/hwmon/hwmon*/label",
    "sys/class/hwmon/hwmon*/in[1-3]_label",
    "sys/class/hwmon/hwmon*/in[1-3]_input",
    "sys/class/hwmon/hwmon*/curr[1-3]_input",
    "sys/class/hwmon/hwmon*/power1_input",
    "sys/class/hwmon/hwmon*/temp1_label",
    "sys/class/hwmon/hwmon*/temp1_input",
    "sys/class/hwmon/hwmon*/oc*_event_cnt",
    "sys/class/hwmon/hwmon*/pwm1",
    "sys/class/hwmon/hwmon*/rpm",
    "sys/class/hwmon/hwmon*/fan1_input",
    "sys/class/powercap/intel-rapl:*/name",
    "sys/class/powercap/intel-rapl:*/*energy*_uj",
    "sys/devices/platform/soc/soc:firmware/get_throttled",
)
_NAMES_ONLY = ("usr/lib/*/libnvinfer.so.*.*.*", "usr/lib/python3*/dist-packages/cv2*")
_READABLE = (*_FILES, *(f"tools/{name}" for name in TOOLS))
_SAFE = re.compile(r"[\w@.,:+ -]+(/[\w@.,:+ -]+)*")


def script() -> str:
    """The recorder, for ``sh``; it reads, and writes to standard output alone."""
    tools = "\n".join(
        f"tool {name} {' '.join(map(shlex.quote, command))}" for name, command in TOOLS.items()
    )
    return f"""
take() {{
  [ -r "$1" ] && [ -f "$1" ] || return 0
  text=$(head -c {_FILE_BYTES} "$1" 2>/dev/null | tr '\\000' '\\n') || return 0
  [ -n "$text" ] && printf '@ %s\\n' "$1" && printf '%s\\n' "$text" | sed '/^Serial/d; s/^/|/'
  return 0
}}
tool() {{
  name=$1; shift
  command -v "$1" >/dev/null 2>&1 || return 0
  text=$("$@" 2>/dev/null </dev/null) || return 0
  printf '@ /tools/%s\\n' "$name" && printf '%s\\n' "$text" | sed 's/^/|/'
}}
for f in {" ".join("/" + pattern for pattern in _FILES)}; do take "$f"; done
for f in {" ".join("/" + pattern for pattern in _NAMES_ONLY)}; do
  [ -e "$f" ] && printf '? %s\\n' "$f"
done
{tools}
exit 0
"""


def unpack(recording: str, folder: Path) -> None:
    """Makes a recording into a tree below an existing folder.

    A recording comes from elsewhere: only paths that the recorder asks for are written.

    Raises:
        InputError: it is no recording, too large, or names a path that was not asked for.
    """
    if len(recording) > MOST_BYTES:
        raise InputError(f"The recording has more than {MOST_BYTES >> 20} MiB; it is not used.")
    files = _parse(recording)
    if not files:
        raise InputError(
            "This is no recording of a device: no line of it begins with '@ /'. Record one with: "
            "edgevit devices record NAME --output FILE"
        )
    for path, lines in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(lines), encoding="utf-8", errors="replace")


def _parse(recording: str) -> dict[str, list[str]]:
    files: dict[str, list[str]] = {}
    lines: list[str] | None = None
    for line in recording.splitlines():
        if line.startswith(("@ /", "? /")):
            path = line[3:]
            _refuse_unasked(path, _READABLE if line[0] == "@" else _NAMES_ONLY)
            lines = files[path] = []
        elif line.startswith("|") and lines is not None:
            lines.append(line[1:])
    return files


def _refuse_unasked(path: str, patterns: tuple[str, ...]) -> None:
    parts = path.split("/")
    asked = any(
        len(parts) == len(pattern.split("/")) and all(map(fnmatchcase, parts, pattern.split("/")))
        for pattern in patterns
    )
    if ".." in parts or not _SAFE.fullmatch(path) or not asked:
        raise InputError(
            f"The recording names {path[:80]!r}, which edgevit does not ask for; it is not used."
        )
