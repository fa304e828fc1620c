"""Commands that install what is missing, such that they work when they are pasted.

edgevit is on no package index, so ``pip install "edgevit[export]"`` finds nothing. In a checkout
the checkout is named; beside a wheel, the libraries that its metadata lists for an extra are. For
edgevit itself the folder is named that its wheel came from; pip notes it where it was given a file
(PEP 610), and else the command is for the folder that has the wheel. And pip is called as that of
the running Python, wherever that is. Metadata is read by what takes longer to import than most of
edgevit, so only when an error needs it.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from urllib.parse import unquote, urlparse

NAME = "edgevit"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
_PACKAGE = Path(__file__).parents[2]
_IS_OURS = re.compile(rf'^name = "{NAME}"$', re.MULTILINE)
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")
_OWN_EXTRAS = re.compile(rf"{NAME}\[([\w,\s-]+)\]")
_CUDA = Path("/usr/local/cuda/version.json")  # of a Jetson, or an installed toolkit
_DRIVER = Path("/proc/driver/nvidia/version")
_FIRST_DRIVER_OF_CUDA_13 = 580


def install_command(extra: str = "") -> str:
    """What installs the libraries of an extra, or with none those that edgevit always needs."""
    added = " ".join(_beside(extra))
    return f"{pip_install()} {_wanted(extra)} {added}".rstrip()


def pip_install() -> str:
    """``pip install``, for the running Python."""
    options = " --break-system-packages" if _is_managed_by_the_system() else ""
    return f"{pip()} install{options}"


def uninstall(*names: str) -> str:
    """What takes distributions away, without asking."""
    sure = "" if pip().startswith("uv ") else " --yes"
    return f"{pip()} uninstall{sure} {' '.join(names)}"


def pip() -> str:
    """pip of the running Python: by its name where that is first on the PATH."""
    python = quote(sys.executable)
    if find_spec("pip") is None:
        return f"uv pip --python {python}" if shutil.which("uv") else f"pip --python {python}"
    found = shutil.which("pip")
    if found and Path(found).parent == Path(sys.executable).parent:
        return "pip"
    return f"{python} -m pip"


def checkout() -> Path | None:
    """The folder of the sources that are running; None: edgevit is installed as a package."""
    project = _PACKAGE.parent / "pyproject.toml"
    if project.is_file() and _IS_OURS.search(project.read_text(encoding="utf-8")):
        return project.parent
    return None


def install_again_command() -> str:
    """What installs this edgevit once more, to compile what could not be compiled at first."""
    root = checkout()
    if root is not None:
        return f"{pip_install()} --editable {quote(str(root))}"
    wheel = _wheel()
    # By its file where that is known, for pip to note again where it came from.
    what = quote(str(wheel)) if wheel is not None and wheel.is_file() else _from_wheels()
    return f"{pip_install()} --force-reinstall --no-deps {what}"


def upgrade_advice() -> str:
    """How to get a newer edgevit, as a sentence."""
    root = checkout()
    if root is None:
        known = wheel_folder()
        where = f"put a newer wheel into {known}" if known else "in the folder of a newer wheel"
        return f"Upgrade edgevit; {where}: {pip_install()} --upgrade {_from_wheels()}"
    again = f"{pip_install()} --editable {quote(str(root))}"
    if (root / ".git").exists():
        return f"Upgrade edgevit: git -C {quote(str(root))} pull && {again}"
    return f"Upgrade edgevit: put newer sources into {root}, then {again}"


def wheel_folder() -> Path | None:
    """Where the wheel lies that edgevit was installed from; None where that is not known."""
    wheel = _wheel()
    return wheel.parent if wheel and any(wheel.parent.glob(f"{NAME}-*.whl")) else None


def _wheel() -> Path | None:
    """The file that pip was given, which may be gone; None where that is not known."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        noted = distribution(NAME).read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    try:
        origin = urlparse(json.loads(noted)["url"]) if noted else None
    except (ValueError, KeyError, TypeError):
        return None
    if origin is None or origin.scheme != "file":
        return None
    return Path(unquote(origin.path))


def _from_wheels() -> str:
    """What pip is told to take edgevit from wheels in a folder."""
    return f"--find-links {quote(str(wheel_folder() or '.'))} {NAME}"


def requirements_of(extra: str) -> tuple[str, ...]:
    """What the installed package lists for an extra: ``torch<2.14,>=2.9``, by pip's grammar.

    Raises:
        PackageNotFoundError: pip knows of no installed edgevit.
    """
    return tuple(dict.fromkeys(_listed(extra)))


def _wanted(extra: str) -> str:
    """What is handed to pip."""
    from importlib.metadata import PackageNotFoundError

    root = checkout()
    if root is not None:
        what = f"{root}[{extra}]" if extra else str(root)
        return f'--editable "{what}"'
    try:
        return " ".join(f'"{requirement}"' for requirement in requirements_of(extra))
    except PackageNotFoundError:
        what = f"{NAME}[{extra}]" if extra else NAME
        return f'--find-links . "{what}"'


def _listed(extra: str) -> Iterator[str]:
    from importlib.metadata import requires

    for line in requires(NAME) or ():
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        named = _EXTRA.search(marker)
        if (named[1] if named else "") != extra:
            continue
        if own := _OWN_EXTRAS.match(requirement):
            for other in own[1].split(","):
                yield from _listed(other.strip())
        else:
            yield (
                requirement if named or not marker else f"{requirement}; {marker}".replace('"', "'")
            )


def _beside(extra: str) -> Iterator[str]:
    """What an extra needs on this machine besides."""
    if extra == "timm" and _torch_is_for_cpus():
        # Else pip takes a torchvision for CUDA, which cannot be imported beside this torch.
        yield f"torchvision --extra-index-url {TORCH_CPU_INDEX}"
    if extra in ("cuda", "tensorrt") and _cuda_is_before_13():
        yield '"cuda-bindings<13"'


def _torch_is_for_cpus() -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return False


def _cuda_is_before_13() -> bool:
    """By the toolkit of a Jetson, or by the driver of a graphics card."""
    if _CUDA.is_file():
        found = re.search(r'"version"\s*:\s*"(\d+)\.', _CUDA.read_text(encoding="utf-8"))
        return found is not None and int(found[1]) < 13
    if _DRIVER.is_file():
        found = re.search(r"\s(\d{3})\.\d+", _DRIVER.read_text(encoding="utf-8"))
        return found is not None and int(found[1]) < _FIRST_DRIVER_OF_CUDA_13
    return False


def _is_managed_by_the_system() -> bool:
    """Debian's own Python refuses pip without an option (PEP 668); virtual environments do not."""
    import sysconfig

    marker = Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED"
    return sys.prefix == sys.base_prefix and marker.exists()
