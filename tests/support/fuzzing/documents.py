"""JSON and TOML: manifests, results of bench and eval, lists of devices, messages of devices."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import cast

import numpy as np

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.manifest import MANIFEST_FILE
from edgevit.common.progress import SilentProgress
from edgevit.results.bench_result import read_result
from edgevit.results.bundle_summary import BundleSummary
from edgevit.results.compare import compare
from edgevit.results.report import report
from edgevit_runtimes.remote.device_address import Device
from edgevit_runtimes.remote.device_list import devices_file, read_devices
from edgevit_runtimes.remote.pending import PendingRun, read_pending, state_folder
from edgevit_runtimes.remote.protocol import MARK
from edgevit_runtimes.remote.runs import follow
from edgevit_runtimes.remote.ssh import Ssh
from support.fuzzing.mutations import Rng, changed_file, changed_json, one_of
from support.fuzzing.sandbox import Subject
from support.fuzzing.small_bundle import small_bundle
from support.made_results import made, made_result

_RUN = "0123456789abcdef"
_DEVICES = """\
[orin]
host = "user@orin.local"
folder = ".cache/edgevit-device"

[pi]
host = "ssh://pi@192.168.0.7:2222"
folder = "/opt/edgevit"
"""
_EVALUATION = {
    "model": "lla_tiny",
    "bundle": "lla_tiny.edgevit",
    "variant": "float",
    "file_sha256": "f" * 64,
    "images": 40,
    "top1": {"share": 0.75, "interval_95": [0.6, 0.86], "right": 30, "of": 40},
    "top5": {"share": 0.9, "interval_95": [0.8, 0.95], "right": 36, "of": 40},
    "classes": [
        {
            "class": "cat",
            "images": 20,
            "recall": {"share": 0.7, "interval_95": [0.5, 0.8], "right": 14, "of": 20},
            "precision": {"share": 0.7, "interval_95": [0.5, 0.8], "right": 14, "of": 20},
        }
    ],
    "confusion": {"labels": ["cat", "dog"], "images": [[14, 6], [4, 16]]},
    "left_out": {"no picture": 2},
}
Change = Callable[[str, Rng], bytes]


def subjects(scratch: Path, seed: int) -> list[Subject]:
    """One for each kind of document."""
    os.environ |= {"XDG_CONFIG_HOME": str(scratch), "XDG_STATE_HOME": str(scratch)}
    for folder in (devices_file().parent, state_folder() / "runs"):
        folder.mkdir(parents=True, exist_ok=True)
    manifests, read_manifest = _manifests(scratch)

    def subject(
        name: str, texts: Sequence[str], read: Callable[[bytes], None], change: Change
    ) -> Subject:
        def make(number: int) -> bytes:
            rng = np.random.default_rng([seed, number])
            return change(str(one_of(texts, rng)), rng)

        return Subject(name, make, read)

    result = made(device="Orin Nano", disturbed=True)
    result["durations_us"] = [run[:60] for run in result["durations_us"]]
    message = json.dumps({"result": result})
    pending = {
        "run": _RUN,
        "host": "orin",
        "folder": "cache",
        "model": "lla_tiny",
        "began": "2026-01-01",
    }
    return [
        subject("manifest.json", manifests, read_manifest, changed_json),
        subject("result of bench", [json.dumps(result)], _result_reader(scratch), changed_json),
        subject("two results", [json.dumps(result)], _pair_reader(scratch), changed_json),
        subject(
            "result of eval", [json.dumps(_EVALUATION)], _evaluation_reader(scratch), changed_json
        ),
        subject("devices.toml", [_DEVICES], _read_devices, _changed_text),
        subject("message of a device", [message], _read_message, changed_json),
        subject("run under way", [json.dumps(pending)], _read_pending, changed_json),
    ]


def _changed_text(text: str, rng: Rng) -> bytes:
    return changed_file(text.encode(), [text.encode()], rng)


def _manifests(scratch: Path) -> tuple[list[str], Callable[[bytes], None]]:
    """Of a small bundle and of the shipped one; with what quantizing and compiling add."""
    from edgevit.zoo import PREBUILT_BUNDLE

    bundle = small_bundle(scratch / "described.edgevit").path
    shipped = json.loads((PREBUILT_BUNDLE / MANIFEST_FILE).read_text())
    share = {"images": 9, "top1": 0.7, "float_top1": 0.8, "drop_points": 1.0}
    shipped["variants"]["compiled"] = {
        "file": "model.onnx",
        "precision": "int8",
        "weights_stored_as": "int8",
        "runtime": "openvino",
        "target": "openvino",
        "report": {
            **share,
            "drop_points_interval_95": [0.0, 2.0],
            "accuracy_from": "here",
            "kept_float": ["head"],
            "calibration": "minmax",
            "smoothed": False,
            "holds": True,
            "max_drop_points": 1.0,
            "calibration_images": 9,
            "calibration_seed": 0,
            "calibration_sha256": "0" * 64,
        },
        "build": {
            "source": "float",
            "source_sha256": "0" * 64,
            "built_for": {"runtime": "openvino 2026.0"},
            "options": {"precision": "f32"},
            "facts": {"seconds": 0.1},
        },
    }
    shipped["machines"] = {"here": {"variant": "float", "threads": 1, "table": [], "measured": "x"}}

    def read(content: bytes) -> None:
        (bundle / MANIFEST_FILE).write_bytes(content)
        opened = Bundle.open(bundle)
        summary = BundleSummary(opened, {})
        json.dumps(summary.to_dict(), allow_nan=False)
        summary.sections()
        opened.chosen(["openvino"], "here")
        opened.manifest.to_json()

    return [(bundle / MANIFEST_FILE).read_text(), json.dumps(shipped)], read


def _result_reader(scratch: Path) -> Callable[[bytes], None]:
    file = scratch / "result.json"

    def read(content: bytes) -> None:
        file.write_bytes(content)
        result = read_result(file)
        json.dumps(result.to_dict(), allow_nan=False)
        result.sections()
        report([file], scratch / "page.html")

    return read


def _pair_reader(scratch: Path) -> Callable[[bytes], None]:
    """Ratios of one to the other; their intervals take a while."""
    file, other = scratch / "second.json", made_result()

    def read(content: bytes) -> None:
        file.write_bytes(content)
        result = read_result(file)
        result.repeating(compare(other, result)).sections()

    return read


def _evaluation_reader(scratch: Path) -> Callable[[bytes], None]:
    file, bench = scratch / "evaluation.json", scratch / "beside.json"
    bench.write_text(json.dumps(made()))

    def read(content: bytes) -> None:
        file.write_bytes(content)
        report([bench, file], scratch / "evaluated.html")

    return read


def _read_devices(content: bytes) -> None:
    devices_file().write_bytes(content)
    read_devices()


def _read_message(content: bytes) -> None:
    """As the last message of a run on a device."""
    pending = PendingRun(_RUN, "orin", "cache", "lla_tiny", "2026-01-01")
    follow(cast(Ssh, _Line(content)), pending, SilentProgress()).sections()


class _Line:
    """A connection to a device that says one line, and does nothing else."""

    def __init__(self, said: bytes) -> None:
        self.device = Device("orin")
        self._lines = BytesIO(MARK + said.replace(b"\n", b" ") + b"\n")

    @contextmanager
    def streaming(self, *arguments: object, **options: object) -> Iterator[_Line]:
        yield self

    def write(self, data: bytes) -> None:
        """Jobs are not looked at."""

    def readline(self, most_bytes: int) -> bytes:
        return self._lines.readline(most_bytes)

    def end_input(self) -> None:
        """What follows is not looked at either: it is asked, and says nothing more."""

    def leave(self) -> None:
        """It has no end that could be judged."""


def _read_pending(content: bytes) -> None:
    (state_folder() / "runs" / f"{_RUN}.json").write_bytes(content)
    read_pending(_RUN)
