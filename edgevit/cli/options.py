"""Options that several commands share, and how their values are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgevit.bundle.variant_names import current_name
from edgevit.cli.renamed import REMOVED_IN, warn
from edgevit.common.errors import InputError, some_of
from edgevit.common.storage.files import resolved
from edgevit.common.untrusted.limits import MOST_PIXELS
from edgevit.common.workers import refuse_too_many_threads

if TYPE_CHECKING:
    from edgevit.bundle.bundle import Bundle

_MOST_CLASSES = 1_000_000
_MOST_CLASS_BYTES = 64 << 20

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output.")
]
ThreadsOption = Annotated[
    int,
    typer.Option(
        "--threads",
        min=1,
        callback=refuse_too_many_threads,
        help="Number of threads per inference.",
    ),
]
CoresOption = Annotated[
    str | None,
    typer.Option("--cores", help="CPU cores to run on, such as 0,1. Default: all."),
]
ArenaOption = Annotated[
    bool,
    typer.Option(
        "--arena/--no-arena", help="ONNX Runtime: keep freed memory for the next inference."
    ),
]
ResultFileOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Also write the result to this file, as JSON."),
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Check everything, print what would be done, and stop."),
]


def _today(name: str) -> str:
    if (today := current_name(name)) != name:
        warn(f"variant {name} is called {today} now; the former name works until {REMOVED_IN}")
    return today


def _variant(name: str | None) -> str | None:
    return None if name is None else _today(name)


def variant_names(names: list[str] | None) -> list[str] | None:
    """``--variant`` of commands that take several: former names become today's, with a warning."""
    return None if names is None else [_today(name) for name in names]


VariantOption = Annotated[
    str | None,
    typer.Option(
        callback=_variant, help="Variant of the model. Default: the one chosen for this machine."
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        callback=refuse_too_many_threads,
        help="Threads of the data loader and of torch. Default: all cores.",
    ),
]
ParityImagesOption = Annotated[
    Path | None,
    typer.Option(
        "--images", help="Folder of images for the parity check. Default: eight built-in images."
    ),
]
ParityCountOption = Annotated[
    int, typer.Option("--count", min=1, help="Use at most this many of them, evenly spaced.")
]
CheckHashesOption = Annotated[
    bool,
    typer.Option("--check-hashes", help="Hash every file of the bundle, remembered or not."),
]
SkipCorruptOption = Annotated[
    bool, typer.Option("--skip-corrupt", help="Skip damaged images instead of stopping.")
]

VoidOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=255,
        help="Segmentation: a label value to ignore besides 255. Default: as in training.",
    ),
]
WeightsKeyOption = Annotated[
    str | None,
    typer.Option(
        "--weights-key",
        help="Which weights of a .pth with several. Default: their moving average (model_ema).",
    ),
]

EngineOption = Annotated[
    str,
    typer.Option(
        "--engine", help="Where the work runs: local (this process) or ray (Ray workers)."
    ),
]
RayWorkersOption = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Ray: number of workers. Default: one per core or GPU."),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT|auto",
        help="Ray: address of a running cluster. Default: a new one on this machine.",
    ),
]
HostsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--host",
        help="A device over SSH: user@address, or a name added with 'edgevit devices add'; may be "
        "repeated.",
    ),
]
HostOption = Annotated[
    str | None,
    typer.Option(
        "--host",
        help="Do it on this device over SSH: user@address, or a name added with 'edgevit devices "
        "add'.",
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=1,
        help="With --host: stop waiting for the device after this long. Default: a limit that "
        "grows with the work.",
    ),
]
FleetOption = Annotated[
    str | None,
    typer.Option("--fleet", help="All devices of a fleet made with 'edgevit devices fleet'."),
]

MaxPixelsOption = Annotated[
    int,
    typer.Option(
        "--max-pixels",
        metavar="N",
        envvar="EDGEVIT_MAX_PIXELS",
        min=1,
        max=MOST_PIXELS,
        help="Refuse images with more pixels than this.",
    ),
]


def refuse_timeout_here(timeout_s: float | None) -> None:
    """Raises InputError where ``--timeout`` is given for work on this machine."""
    if timeout_s is not None:
        raise InputError("--timeout is for work on a device; add --host, or leave it out.")


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
    if not path.exists():
        raise InputError(
            f"--classes got '{value}'; expected a number, or a text file with one name a line."
        )
    return _names_in(path)


def _names_in(path: Path) -> tuple[str, ...]:
    """One name a line; empty lines are none.

    Raises:
        InputError: no text in UTF-8 or UTF-16, no name, one twice, or one that cannot be a label.
    """
    from edgevit.common.untrusted.bounded import read_text
    from edgevit.images.image_folder import refuse_label

    lines: dict[str, list[int]] = {}
    for i, line in enumerate(read_text(path, _MOST_CLASS_BYTES, "class file").splitlines(), 1):
        if name := line.strip():
            refuse_label(name, f"{path}, line {i}")
            lines.setdefault(name, []).append(i)
    if not lines:
        raise InputError(f"{path} holds no class name; expected one a line.")
    if twice := [f"'{name}' (lines {some_of(at)})" for name, at in lines.items() if len(at) > 1]:
        raise InputError(
            f"{path} names classes more than once: {some_of(twice)}. Every class needs a name of "
            "its own."
        )
    return tuple(lines)


def looks_like_bundle(path: Path) -> bool:
    """By its suffix or by what is in it; it need not be a good one.

    An ONNX file and a file of weights are no picture and no video either: opening one says how to
    make a bundle of it.
    """
    from edgevit.bundle.bundle import WEIGHT_SUFFIXES

    known = (".edgevit", ".onnx", *WEIGHT_SUFFIXES)
    return path.suffix.lower() in known or holds_manifest(path)


def holds_manifest(path: Path) -> bool:
    """Whether it is a folder with a manifest, as a bundle is."""
    from edgevit.bundle.manifest import MANIFEST_FILE

    # os.path: a pipeline of GStreamer is longer than a name may be, which pathlib raises.
    return os.path.isfile(path / MANIFEST_FILE)  # noqa: PTH113


def open_bundle(path: Path | None, check_hashes: bool = False) -> Bundle:
    """The bundle of that path, or the one that the package ships.

    Args:
        check_hashes: hash every file, even those whose hash is remembered.
    """
    from edgevit.bundle.bundle import Bundle
    from edgevit.zoo import PREBUILT_BUNDLE

    return Bundle.open(path or PREBUILT_BUNDLE, check_hashes)


def open_for_change(path: Path) -> Bundle:
    """A bundle that variants are added to, by its real path: a link itself is never replaced."""
    from edgevit.bundle.bundle import Bundle

    return Bundle.open(path if path.is_symlink() else resolved(path))
