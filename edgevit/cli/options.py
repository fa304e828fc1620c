"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.common.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle

_MOST_CLASSES = 1_000_000
_THREADS_PER_CORE = 4  # far more only take memory: every thread has a stack and an arena


def _bounded_threads(value: int | None) -> int | None:
    limit = _THREADS_PER_CORE * (os.cpu_count() or 1)
    if value is not None and value > limit:
        raise InputError(
            f"--threads {value} is more than this machine can use; it has {os.cpu_count()} "
            f"processors. Give at most {limit}."
        )
    return value


JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
ThreadsOption = Annotated[
    int,
    typer.Option("--threads", min=1, callback=_bounded_threads, help="Threads inside an operator."),
]
CoresOption = Annotated[
    str | None,
    typer.Option("--cores", help="Processors to stay on, such as 0,1. Default: all there are."),
]
ArenaOption = Annotated[
    bool,
    typer.Option("--arena/--no-arena", help="ONNX Runtime: keep freed memory for the next one."),
]
VariantOption = Annotated[
    str | None,
    typer.Option(help="Which form of the model. Default: the one chosen for this machine."),
]
LoaderThreadsOption = Annotated[
    int | None,
    typer.Option("--threads", min=1, callback=_bounded_threads, help="Default: all cores."),
]
SkipCorruptOption = Annotated[
    bool, typer.Option("--skip-corrupt", help="Leave damaged images out, instead of stopping.")
]


def require_modules(purpose: str, extra: str, modules: Sequence[str]) -> None:
    """Raises the error that names the extra if a module is not installed."""
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtraError(purpose, module, extra)


def check_picture(option: str, target: Path | None) -> None:
    """Refuses a picture that could not be drawn, before the work is done.

    Raises:
        MissingExtraError: matplotlib is not installed.
        InputError: the suffix is not one that can be written, or the place cannot be written to.
    """
    if target is not None:
        require_modules(option, "train", ("matplotlib",))
        from edgevit.common.files import refuse_target
        from edgevit.results.plots import check_target

        check_target(target)
        refuse_target(target)


def core_numbers(value: str | None) -> tuple[int, ...] | None:
    """``--cores``: numbers with commas between."""
    if value is None:
        return None
    parts = value.split(",")
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise InputError(f"--cores is numbers with commas between, such as 0,1; got '{value}'.")
    return tuple(int(part) for part in parts)


def class_names(value: str | None) -> tuple[str, ...] | int | None:
    """``--classes``: a number, or a text file with one name a line."""
    if value is None:
        return None
    if value.isascii() and value.isdecimal():
        if int(value) > _MOST_CLASSES:
            raise InputError(f"--classes got {value}; at most {_MOST_CLASSES} are supported.")
        return int(value)
    path = Path(value)
    if not path.is_file():
        raise InputError(
            f"--classes got '{value}'; expected a number, or a text file with one name a line."
        )
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    names = tuple(line.strip() for line in lines if line.strip())
    if not names or len(set(names)) != len(names):
        raise InputError(f"{path} must hold at least one class name, and none of them twice.")
    return names


def looks_like_bundle(path: Path) -> bool:
    """By its suffix or by what is in it; it need not be a good one."""
    return path.suffix == ".edgevit" or (path / "manifest.json").is_file()


def open_bundle(path: Path | None) -> Bundle:
    """The bundle of that path, or the one that the package ships."""
    from edgevit.bundle.bundle import Bundle
    from edgevit.zoo.registry import PREBUILT_BUNDLE

    return Bundle.open(path or PREBUILT_BUNDLE)


def untrained_note(bundle: Bundle) -> str | None:
    """What every output says of a model that learned nothing."""
    model = bundle.manifest.model
    return None if model.trained else f"{model.name} is {model.weights}: its answers mean nothing"
