"""What changes a bundle: the library's edits, and commands."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from edgevit.bundle.bundle import Bundle, MachineChoice, Variant
from edgevit.bundle.edit import create, edit, seal
from edgevit.images import image_io
from support.chaos.kills import Edit
from support.fuzzing.small_bundle import CLASSES, small_bundle

_EXTRA = "extra"
_EXTRA_FILE = f"model.{_EXTRA}.onnx"
_HERE = "here"
_NOTE = "number"
_PICTURES = 8  # of each class
State = dict[str, Any]


def bundle_edits() -> list[Edit]:
    """Those of the library, and the commands that come down to them."""
    compiles = ("compile", "--target", "onnxruntime", "--force")
    openvino = ("compile", "--target", "openvino", "--force")
    edits = [
        Edit("edit of a variant", 0.24, _prepare, _put, _hashes, _has_extra),
        Edit("edit of the manifest", 0.1, _prepare, _choose, _choices, _has_chosen),
        Edit("new bundle in place of another", 0.12, _prepare, _replace, _created, _is_new),
        Edit("export", 0.005, _no_bundle, _export, _hashes, _keeps, _open),
        Edit("quantize", 0.02, _prepare_pictures, _quantize, _hashes, _keeps, _open),
        Edit("compile", 0.085, _prepare, command(*compiles), _hashes, _keeps, _open),
        Edit("compile for OpenVINO", 0.02, _prepare, command(*openvino), _hashes, _keeps, _open),
        Edit("verify --repair", 0.08, _prepare, _repair, _damaged, _is_repaired, damage=_damage),
    ]
    by_command = ("quantize", "compile", "compile for OpenVINO", "verify --repair")
    return [replace(each, cleans_up=each.name in by_command) for each in edits]


def command(name: str, *options: str) -> Callable[[Path, int], None]:
    """A command line with the bundle as its argument, by edgevit's own entry point."""

    def run(folder: Path, number: int) -> None:
        del number
        run_command(name, str(_bundle(folder)), *options)

    return run


def run_command(*arguments: str) -> None:
    """Ends by SystemExit, as ``edgevit`` does."""
    from edgevit.cli import main

    sys.argv = ["edgevit", *arguments]
    main()


def _bundle(folder: Path) -> Path:
    return folder / "small.edgevit"


def _prepare(folder: Path) -> None:
    small_bundle(_bundle(folder))


def _open(folder: Path) -> None:
    Bundle.open(_bundle(folder))


def _hashes(folder: Path) -> State:
    """Of every variant's file; all files are read, and no others are there."""
    path = _bundle(folder)
    if not path.exists():
        return {}
    bundle = Bundle.open(path, check_hashes=True)
    bundle.reference()
    listed = {"manifest.json", *bundle.manifest.files}
    there = {file.name for file in path.iterdir() if not file.name.startswith(".")}
    assert there == listed, "files that the manifest lacks"
    return {name: bundle.sha256(name) for name in bundle.manifest.variants}


def _keeps(before: Any, number: int, after: Any) -> bool:
    """A command adds variants or renews them; the float model stays, but for an export."""
    del number
    return bool(before.keys() <= after.keys())


# Edits of the library ----------------------------------------------------------------------------


def _put(folder: Path, number: int) -> None:
    with edit(Bundle.open(_bundle(folder))) as draft:
        draft.write(_EXTRA_FILE, lambda file: file.write_bytes(_content(number)))
        draft.put(_EXTRA, Variant(_EXTRA_FILE, "float32", "float32"))


def _content(number: int) -> bytes:
    return str(number).encode() * 5000


def _has_extra(before: Any, number: int, after: Any) -> bool:
    new = {**before, _EXTRA: hashlib.sha256(_content(number)).hexdigest()}
    return after in (before, new)


def _choose(folder: Path, number: int) -> None:
    with edit(Bundle.open(_bundle(folder))) as draft:
        draft.choose_on_machine(_HERE, MachineChoice("float", number, (), "today"))


def _choices(folder: Path) -> State:
    machines = Bundle.open(_bundle(folder)).manifest.machines
    return {"files": _hashes(folder), **{name: each.threads for name, each in machines.items()}}


def _has_chosen(before: Any, number: int, after: Any) -> bool:
    return after in (before, {**before, _HERE: number})


def _replace(folder: Path, number: int) -> None:
    """As export ends: a whole new folder."""
    bundle = Bundle.open(_bundle(folder))
    notes = {_NOTE: str(number)}
    manifest = structs.replace(
        bundle.manifest, model=structs.replace(bundle.manifest.model, notes=notes)
    )
    with create(bundle.path, replace_existing=True) as new:
        for name in manifest.files:
            shutil.copy(bundle.path / name, new / name)
        seal(new, manifest)


def _created(folder: Path) -> State:
    return {**_hashes(folder), **Bundle.open(_bundle(folder)).manifest.model.notes}


def _is_new(before: Any, number: int, after: Any) -> bool:
    return after in (before, {**before, _NOTE: str(number)})


# Commands ----------------------------------------------------------------------------------------


def _damage(folder: Path, number: int) -> None:
    """A variant whose file is not what the manifest says."""
    _put(folder, number)
    (_bundle(folder) / _EXTRA_FILE).write_bytes(b"damaged")


_repair = command("verify", "--repair")


def _damaged(folder: Path) -> State:
    bundle = Bundle.open(_bundle(folder))
    fresh = Bundle(bundle.path, bundle.manifest, fresh_hashes=True)
    damaged = [name for name in bundle.manifest.files if fresh.damage(name)]
    return {"damaged": damaged, "variants": sorted(bundle.manifest.variants)}


def _is_repaired(before: Any, number: int, after: Any) -> bool:
    del number
    whole = [name for name in before["variants"] if name != _EXTRA]
    return after in (before, {"damaged": [], "variants": whole})


def _prepare_pictures(folder: Path) -> None:
    _prepare(folder)
    drawn = np.random.default_rng(0)
    for name in CLASSES:
        (folder / "pictures" / name).mkdir(parents=True)
        for place in range(_PICTURES):
            picture = drawn.integers(0, 256, (9, 9, 3)).astype(np.uint8)
            image_io.write(folder / "pictures" / name / f"{place}.png", picture)


def _quantize(folder: Path, number: int) -> None:
    del number
    run_command(
        *("quantize", str(_bundle(folder)), "--data", str(folder / "pictures"), "--force"),
        *("--target", "onnxruntime-x86", "--calibration-method", "minmax", "--max-drop", "100"),
    )


def _no_bundle(folder: Path) -> None:
    """Export makes the first one."""
    del folder


def _export(folder: Path, number: int) -> None:
    del number
    from edgevit.common.progress import SilentProgress
    from edgevit_export.convert.export_pipeline import ExportRequest, export_bundle
    from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
    from support.zoo import shallow

    pictures = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    request = ExportRequest(shallow("vit_tiny_32"), _bundle(folder), pictures, force=True)
    export_bundle(request, OnnxRuntimeRunner, SilentProgress())
