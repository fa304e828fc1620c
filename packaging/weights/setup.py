"""The wheel of the zoo's training weights, which a device does not need: ``make wheels``.

Its one package is data: the safetensors of ``edgevit/zoo``, found by ``edgevit.zoo.registry``.
"""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

_ROOT = Path(__file__).resolve().parents[2]
_VERSION = (_ROOT / "edgevit" / "common" / "version.py").read_text().split('"')[-2]


class OnlyData(build_py):
    """The folder is a package of edgevit's too, whose modules stay there."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        del package, package_dir
        return []


setup(
    cmdclass={"build_py": OnlyData},
    name="edgevit-weights",
    version=_VERSION,
    description="Weights of edgevit's models, to export and to train from",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=["edgevit_weights"],
    package_dir={"edgevit_weights": "../../edgevit/zoo"},
    package_data={"edgevit_weights": ["*.safetensors"]},
)
