"""What changes single files: devices, the state of a training, results, recordings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgevit.common.console import write_json
from edgevit.inference.answers import Answer
from edgevit.models.checkpoint import read_checkpoint, save_checkpoint
from edgevit.results.bench_result import read_result
from edgevit.training.state import STATE_FILE, RunState
from edgevit_runtimes.live.observation import Observation
from edgevit_runtimes.live.outputs.recorder import Recorder, whole_fragments_bytes
from edgevit_runtimes.remote.device_list import devices_file, read_devices
from edgevit_runtimes.sources.frame import Frame
from support.chaos.bundle_edits import run_command
from support.chaos.kills import Edit
from support.made_results import made

_IDENTITY = {"model": "small"}
_WEIGHTS = "small.safetensors"
_RESULT = "result.json"
_PAGE = "report.html"
_FRAMES = 90
_KEPT_DEVICES = 5


def file_edits() -> list[Edit]:
    """By commands, where one changes the file; else as the command's own code does."""
    return [
        Edit(
            "devices add",
            0.14,
            _nothing,
            _add_device,
            _devices,
            _has_device,
            cleans_up=True,
        ),
        Edit("state of a training", 0.08, _prepare_run, _save_state, _state, _is_saved),
        Edit("result of bench", 0.06, _prepare_result, _write_result, _result, _is_written),
        Edit("report", 0.02, _prepare_result, _report, _page, _is_page, cleans_up=True),
        Edit("recording", 0.04, _nothing, _record, _recordings, _plays),
    ]


def _nothing(folder: Path) -> None:
    del folder


# Devices -----------------------------------------------------------------------------------------


def _add_device(folder: Path, number: int) -> None:
    """A few names in turn, so that the list stays short."""
    os.environ["XDG_CONFIG_HOME"] = str(folder)
    run_command("devices", "add", f"device{number % _KEPT_DEVICES}", f"user@host{number}")


def _devices(folder: Path) -> dict[str, str]:
    os.environ["XDG_CONFIG_HOME"] = str(folder)
    assert devices_file().is_relative_to(folder)
    return {name: device.host for name, device in read_devices().items()}


def _has_device(before: Any, number: int, after: Any) -> bool:
    return after in (before, {**before, f"device{number % _KEPT_DEVICES}": f"user@host{number}"})


# Training ----------------------------------------------------------------------------------------


def _prepare_run(folder: Path) -> None:
    _save_state(folder, 0)


def _module(number: int) -> torch.nn.Module:
    module = torch.nn.Linear(100, 100)
    torch.nn.init.constant_(module.weight, number)
    return module


def _save_state(folder: Path, number: int) -> None:
    """As an epoch ends: the state, then the weights."""
    weights = _module(number).state_dict()
    state = RunState(dict(_IDENTITY), epoch=number, step=1, model=weights, average=weights)
    state.save(folder)
    save_checkpoint(folder / _WEIGHTS, _module(number), "small", _names(), {})


def _names() -> tuple[str, ...]:
    return tuple(f"class {place}" for place in range(100))


def _state(folder: Path) -> tuple[int, float, float]:
    """(epoch of the state, weights of the state, weights of the checkpoint)."""
    assert (folder / STATE_FILE).is_file()
    state = RunState.load(folder, dict(_IDENTITY))
    checkpoint = read_checkpoint(folder / _WEIGHTS)
    return state.epoch, _value(state.model["weight"]), _value(checkpoint.tensors["weight"])


def _value(weight: torch.Tensor) -> float:
    """All are equal, or the file is of two minds."""
    assert bool((weight == weight[0, 0]).all())
    return float(weight[0, 0])


def _is_saved(before: Any, number: int, after: Any) -> bool:
    new = (number, float(number))
    return after in (before, (*new, before[2]), (*new, float(number)))


# Results -----------------------------------------------------------------------------------------


def _prepare_result(folder: Path) -> None:
    _write_result(folder, 0)
    _report(folder, 0)


def _write_result(folder: Path, number: int) -> None:
    """As ``edgevit bench --output`` keeps what it measured."""
    result = made(device=f"device {number}")
    write_json(folder / _RESULT, result)


def _result(folder: Path) -> str:
    return str(read_result(folder / _RESULT).conditions.machine["name"])


def _is_written(before: Any, number: int, after: Any) -> bool:
    return after in (before, f"device {number}")


def _report(folder: Path, number: int) -> None:
    page = str(folder / _PAGE)
    results = str(folder / _RESULT)
    try:
        run_command("report", results, "-o", page, "--title", f"page {number}.")
    except SystemExit as ended:
        if ended.code or number > 0:
            raise


def _page(folder: Path) -> str:
    text = (folder / _PAGE).read_text()
    assert text.rstrip().endswith("</html>")
    return text.partition("<title>")[2].partition("<")[0]


def _is_page(before: Any, number: int, after: Any) -> bool:
    return after in (before, f"page {number}.")


# Recordings --------------------------------------------------------------------------------------


def _record(folder: Path, number: int) -> None:
    """A short video of noise; the newest replaces the one before."""
    target = folder / "video.mp4"
    target.unlink(missing_ok=True)
    recorder = Recorder(target, 30.0)
    drawn = np.random.default_rng(abs(number))
    picture = drawn.integers(0, 256, (48, 64, 3)).astype(np.uint8)
    for place in range(_FRAMES):
        frame = Frame(picture, place, "camera", 0, 0.0, 0, 0)
        shares = np.asarray([0.9], np.float32)
        answers = (Answer("cat", 0.9),)
        observation = Observation(frame, answers, picture, None, 0, 0, 0, shares)
        recorder.show(observation, np.roll(picture, place, axis=1))
    recorder.close()


def _recordings(folder: Path) -> int:
    """Frames that play, of the fragments that are whole."""
    import av

    target = folder / "video.mp4"
    if not target.exists() or target.stat().st_size < 2000:
        return 0
    content = target.read_bytes()[: whole_fragments_bytes(target)]
    if b"moof" not in content:
        return 0
    whole = folder / "whole.mp4"
    whole.write_bytes(content)
    with av.open(str(whole)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    assert frames >= content.count(b"moof"), "a fragment without frames"
    return frames


def _plays(before: Any, number: int, after: Any) -> bool:
    del before, number
    return bool(0 <= after <= _FRAMES)
