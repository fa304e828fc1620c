"""Compiles the native engine while edgevit is installed, where there is a C++ compiler.

Without one edgevit is installed all the same; ``edgevit doctor`` then says what is missing.
"""

from __future__ import annotations

import atexit
import os
import runpy
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from setuptools import Distribution, Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

_BUILD = Path(__file__).parent / "runtimes" / "native" / "build.py"
# Of ``make wheels``: compile for another machine than this one, and tag the wheel accordingly.
# Training weights are left out: a device cannot use them (packaging/weights).
_TARGET, _PLATFORM = os.environ.get("EDGEVIT_TARGET"), os.environ.get("EDGEVIT_PLATFORM")
# For a device of another kind, where nothing here compiles for it: the engine is left out.
_HAS_ENGINE = not os.environ.get("EDGEVIT_WITHOUT_ENGINE")
_FOR_DEVICES = bool(_PLATFORM) or not _HAS_ENGINE


class BuildEngine(build_ext):
    """Puts ``libedgevit.so`` beside the Python that loads it by ctypes."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + ".so"

    def build_extension(self, ext: Extension) -> None:
        build = runpy.run_path(str(_BUILD))
        try:
            build["build"](Path(self.get_ext_fullpath(ext.name)), _TARGET)
        except build["NoCompilerError"] as error:
            if _PLATFORM:  # a wheel for others must have it
                raise
            print(f"edgevit is installed without its native engine. {error}", file=sys.stderr)

    def get_outputs(self) -> list[str]:
        return [path for path in super().get_outputs() if Path(path).is_file()]

    def copy_extensions_to_source(self) -> None:
        built = Path(self.get_ext_fullpath(self.extensions[0].name))
        if self.inplace or built.is_file():
            super().copy_extensions_to_source()


class WithoutWeights(build_py):
    """A device's wheel has the prebuilt bundle and no weights to train from."""

    def find_data_files(self, package: str, src_dir: str) -> list[str]:
        found: list[str] = super().find_data_files(package, src_dir)
        return [file for file in found if not (_FOR_DEVICES and file.endswith(".safetensors"))]


class AnyPython(bdist_wheel):
    """The library knows nothing of Python: one wheel serves every version."""

    def get_tag(self) -> tuple[str, str, str]:
        _, _, platform = super().get_tag()
        return "py3", "none", (_PLATFORM or platform) if _HAS_ENGINE else "any"


class WithEngine(Distribution):
    def has_ext_modules(self) -> bool:
        return _HAS_ENGINE


def _own_build_folder() -> dict[str, Any]:
    """A wheel for others is made of nothing that an earlier build left in ``build``."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return {"build": {"build_base": folder}}


_ENGINE = Extension("edgevit_runtimes.backends.native.libedgevit", sources=[])
_commands: dict[str, Any] = {
    "build_ext": BuildEngine,
    "build_py": WithoutWeights,
    "bdist_wheel": AnyPython,
}
setup(
    cmdclass=_commands,
    distclass=WithEngine,
    ext_modules=[_ENGINE] if _HAS_ENGINE else [],
    options=_own_build_folder() if _FOR_DEVICES else {},
)
