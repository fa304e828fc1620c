"""Compiles libedgevit with whatever C++ compiler is here: the system's, or ziglang from PyPI.

    python runtimes/native/build.py OUTPUT.so [--target aarch64-linux-gnu.2.28]

Standard library only: ``setup.py`` calls it while edgevit is installed. ``CMakeLists.txt`` builds
the same for programs in C.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent
SOURCES = (
    "api",
    "check",
    "crc32",
    "depthwise_tables",
    "isa",
    "plan",
    "slic_tables",
    "threads",
)
# Flags of the files that each instruction set has for itself, by processor.
KERNELS: dict[str, dict[str, tuple[str, ...]]] = {
    "x86_64": {
        "portable": (),
        "avx2": ("-mavx2",),
        "avx_vnni": ("-mavx2", "-mavxvnni"),
        "avx512_vnni": ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni"),
    },
    "aarch64": {"portable": (), "neon": (), "neon_dot": ("-march=armv8.2-a+dotprod",)},
}
FLAGS = (
    "-std=c++17",
    "-O3",
    "-DNDEBUG",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffp-contract=off",  # a fused multiply-add rounds otherwise; answers are the same everywhere
    "-fwrapv",  # a file with absurd sums gives absurd answers, and no undefined ones
    "-fno-math-errno",
    "-fno-trapping-math",
    "-Wno-psabi",
)
# Zig names processors otherwise than GCC and Clang.
_ZIG_FLAGS = {"-march=armv8.2-a+dotprod": "-mcpu=generic+dotprod"}
# The C++ runtime goes into the library where it can: a device may have another one.
_LINK = ("-shared", "-pthread", "-Wl,--no-undefined")


class NoCompilerError(Exception):
    """No C++ compiler was found, or it cannot build the library; says what to do."""


def find_compiler(target: str | None = None) -> list[str]:
    """The command of a C++ compiler: ``CXX``, or else one that is found.

    Args:
        target: of another machine, as Zig names it, such as ``aarch64-linux-gnu.2.28``.

    Raises:
        NoCompilerError: there is none.
    """
    zig = [sys.executable, "-m", "ziglang", "c++"]
    has_zig = importlib.util.find_spec("ziglang") is not None
    if given := os.environ.get("CXX"):
        return shlex.split(given)
    if target is not None:
        if not has_zig:
            raise NoCompilerError(f"Compiling for {target} takes Zig: pip install ziglang")
        return [*zig, "-target", target]
    for name in ("c++", "g++", "clang++"):
        if found := shutil.which(name):
            return [found]
    if has_zig:
        return zig
    raise NoCompilerError(
        "No C++ compiler was found. Install g++ (Debian, Ubuntu: apt install g++) or Zig "
        "(pip install ziglang), then install edgevit again."
    )


def build(output: Path, target: str | None = None, extra: tuple[str, ...] = ()) -> list[str]:
    """Compiles the library into ``output``; gives the instruction sets that it has.

    Raises:
        NoCompilerError: there is no compiler, or it failed.
    """
    compiler = find_compiler(target)
    with TemporaryDirectory() as folder:
        objects, sets = compile_objects(Path(folder), target, extra)
        output.parent.mkdir(parents=True, exist_ok=True)
        aside = output.with_name(f".{output.name}.partial")
        static = [] if _is_zig(compiler) else ["-static-libstdc++", "-static-libgcc"]
        _run([*compiler, *_LINK, *extra, *static, "-s", "-o", str(aside), *objects])
        aside.replace(output)
    return sets


def compile_objects(
    folder: Path, target: str | None = None, extra: tuple[str, ...] = ()
) -> tuple[list[str], list[str]]:
    """(object files in ``folder``, the instruction sets that they have).

    Raises:
        NoCompilerError: there is no compiler, or it failed.
    """
    compiler = find_compiler(target)
    is_zig = _is_zig(compiler)
    machine = (target or platform.machine()).partition("-")[0].replace("arm64", "aarch64")
    sets = dict(KERNELS.get(machine, {"portable": ()}))
    # Zig checks for undefined behaviour unless told not to: ten times slower.
    quick = ["-fno-sanitize=all"] if is_zig and not extra else []
    flags = [*FLAGS, *quick, *extra, f"-I{ROOT / 'include'}"]
    if "avx_vnni" in sets and not _takes(compiler, "-mavxvnni", folder):
        del sets["avx_vnni"]
        flags.append("-DEDGEVIT_NO_AVX_VNNI")
    units = [(ROOT / "src" / f"{name}.cc", ()) for name in SOURCES]
    units += [(ROOT / "src" / "kernels" / f"{name}.cc", own) for name, own in sets.items()]

    def compile_unit(unit: tuple[Path, tuple[str, ...]]) -> str:
        source, own = unit
        to = folder / f"{source.stem}.o"
        known = [_ZIG_FLAGS.get(flag, flag) if is_zig else flag for flag in own]
        _run([*compiler, *flags, *known, "-c", str(source), "-o", str(to)])
        return str(to)

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return list(pool.map(compile_unit, units)), list(sets)


def _is_zig(compiler: list[str]) -> bool:
    return "ziglang" in compiler


def _takes(compiler: list[str], flag: str, folder: Path) -> bool:
    probe = folder / "probe.cc"
    probe.write_text("int probe;\n")
    command = [*compiler, flag, "-c", str(probe), "-o", str(folder / "probe.o")]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _run(command: list[str]) -> None:
    try:
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoCompilerError(f"{command[0]} cannot be run: {error}") from error
    if finished.returncode:
        lines = finished.stderr.splitlines()
        first = next((line for line in lines if "error" in line), finished.stderr.strip())
        raise NoCompilerError(f"Compiling libedgevit failed: {first}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compiles libedgevit.")
    parser.add_argument("output", type=Path)
    parser.add_argument("--target", help="of another machine, such as aarch64-linux-gnu.2.28")
    options = parser.parse_args()
    try:
        sets = build(options.output, options.target)
    except NoCompilerError as error:
        sys.exit(str(error))
    print(f"{options.output}: {', '.join(sets)}")


if __name__ == "__main__":
    main()
