"""Answers and measurements from the command line."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import cv2
import numpy as np
import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import InputError
from edgevit.common.installation.install_command import install_command
from edgevit.common.untrusted.credentials import without_passwords
from edgevit.images import image_io
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.interface.tensors import TensorSpec
from edgevit_runtimes.backends.classifier import BundleClassifier
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from edgevit_runtimes.bench.percentiles import latency_ms
from edgevit_runtimes.devices import x86
from support import SHARED_DATA, Command, environment
from support.fuzzing.small_bundle import small_bundle
from support.needs import TINY_IMAGENET


def test_run_answers_every_picture(edgevit: Command, photo_folder: Path) -> None:
    ended = edgevit("run", photo_folder, "--top", 4, "--json")
    assert ended.code == 0
    content = json.loads(ended.out)
    assert [Path(r["image"]).name for r in content["results"]] == [
        f"photo{i}.png" for i in range(4)
    ]
    for result in content["results"]:
        probabilities = [answer["probability"] for answer in result["answers"]]
        assert len(probabilities) == 4
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0 < sum(probabilities) <= 1 + 1e-6
        former_name = [answer["share"] for answer in result["answers"]]
        assert former_name == probabilities, "until 0.3"


def test_run_prints_a_table(edgevit: Command, photo_folder: Path) -> None:
    ended = edgevit("run", PREBUILT_BUNDLE, photo_folder / "photo2.png")
    assert ended.code == 0
    assert "photo2.png" in ended.out
    assert "espresso" in ended.out


def test_one_bad_picture_does_not_stop_the_others(
    edgevit: Command, photo_folder: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no")
    ended = edgevit("run", photo_folder / "photo0.png", bad, photo_folder / "photo1.png", "--json")
    assert ended.code == 2
    content = json.loads(ended.out)
    assert len(content["results"]) == 2
    assert "bad.png" in content["errors"][0]["error"]
    assert "bad.png" in ended.one_message


@pytest.mark.parametrize("count", [1, 3, 4])
def test_a_fixed_or_dynamic_batch_answers_any_number(
    lla_bundle: Path, photos: list[np.ndarray], count: int
) -> None:
    with (
        BundleClassifier(Bundle.open(lla_bundle)) as dynamic,
        BundleClassifier(Bundle.open(PREBUILT_BUNDLE), "float") as single,
    ):
        assert [[a.label for a in answers] for answers in dynamic.answer(photos[:count], 3)] == [
            [a.label for a in answers] for answers in single.answer(photos[:count], 3)
        ]


@pytest.mark.only_if(TINY_IMAGENET)
def test_the_prebuilt_bundle_knows_its_classes() -> None:
    """The first validation picture of each of 200 classes: far above chance (0.005)."""
    right = []
    with BundleClassifier(Bundle.open(PREBUILT_BUNDLE)) as classifier:
        for archive in sorted((SHARED_DATA / "tiny-imagenet" / "val").glob("*.zip")):
            with ZipFile(archive) as pictures:
                content = pictures.read(sorted(pictures.namelist())[0])
            (answer,) = classifier.answer([image_io.decode(content, archive.name)], 1)
            right.append(answer[0].label == archive.stem)
    assert np.mean(right) > 0.3


@pytest.fixture(scope="module")
def result() -> dict[str, object]:
    from support import python

    options = ("--samples", 700, "--frames", 70, "--fps", 200, "--warmup", 5, "--json")
    ended = python("-m", "edgevit", "bench", "--variant", "float", *options)
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def test_bench_measures_everything(result: dict[str, dict[str, object]]) -> None:
    hot, paced = result["latency_ms"], result["latency_paced_ms"]
    assert hot["samples"] == 700
    assert 0 < hot["p50"] <= hot["p90"] <= hot["p99"]
    assert (paced["samples"], paced["p99"]) == (70, None), "p99 wants 662 samples"
    assert paced["p50"] <= paced["p90"]
    between = 1e6 / result["throughput_images_per_s"]  # microseconds from one picture to the next
    inside = np.mean(np.concatenate(result["durations_us"]))
    assert between == pytest.approx(inside + result["overhead_us"], rel=1e-3)
    memory = result["peak_memory_mib"]
    assert 0 < memory["without_model"] < memory["steady"]
    assert memory["load"] > memory["without_model"]
    assert memory["steady"] < 250, "a process with torch would be above"
    start = result["cold_start_ms"]
    assert start["total"] > start["open_model"] + start["first_inference"]
    assert 0 < memory["steady_pss"] <= memory["steady_rss"] <= memory["steady"] + 1
    assert (memory["gpu"], memory["shared_delta"]) == (None, None), "nothing of a GPU, never 0"


def test_every_duration_is_in_the_result(result: dict[str, Any]) -> None:
    runs = result["durations_us"]
    assert [len(run) for run in runs] == [234, 233, 233], "three processes share the samples"
    everything = np.concatenate(runs)
    assert np.percentile(everything, 50) / 1e3 == pytest.approx(
        result["latency_ms"]["p50"], abs=1e-3
    )
    assert len(result["latency_ms"]["p50_by_process"]) == 3
    assert result["disturbed"] == bool(result["disturbances"])
    assert result["overhead_us"] > 0


def test_what_cannot_be_read_is_null_with_a_reason(result: dict[str, Any]) -> None:
    energy = result["energy"]
    if energy["per_inference_mj"] is None:
        assert energy["why_not"]
    else:
        assert energy["per_inference_mj"] > 0
        assert energy["source"]


def test_bench_states_its_conditions(result: dict[str, dict[str, object]]) -> None:
    conditions = result["conditions"]
    assert conditions["threads"] == conditions["batch"] == 1
    assert conditions["runtime"].startswith("onnxruntime ")
    assert conditions["machine"]["cores_usable"] >= 1
    warmup = result["latency_ms"]["warmup"]
    assert warmup["inferences"] >= 3 * 5
    assert isinstance(warmup["steady"], bool)
    assert result["options"]["samples"] == 700
    assert set(conditions["methods"]) >= {"latency", "memory", "sensors", "energy"}
    assert result["model"]["trained"] is True


def test_bench_prints_a_table(edgevit: Command, lla_bundle: Path) -> None:
    options = ("--samples", 20, "--frames", 5, "--fps", 100, "--batch", 2, "--threads", 2)
    ended = edgevit("bench", lla_bundle, *options)
    assert ended.code == 0, ended.err
    for expected in ("p50 / p90 / p99", "images/s", "cold start", "peak memory, load", "batch 2"):
        assert expected in ended.out
    assert " / - / - ms" in ended.out, "20 samples are too few for p90"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "jetson"], "--host user@address"),
        (["--fail-if-slower", "5%"], "give --compare or --repeat"),
        (["--compare", "--fail-if-slower", "-5%"], "expected a percentage"),
        (["--compare"], "needs two or more"),
        (["a.edgevit", "b.edgevit"], "one at a time"),
        (["--batch", "4"], "exported for batch 1"),
        (["--threads", "100000"], "more than this machine can use"),
        (["--fps", "0"], "above zero"),
        (["--fps", "nan"], "above zero"),
        (["--fps", "1e-9"], "the longest is"),
        (["--max-seconds", "inf"], "above zero"),
        (["--max-seconds", "-1"], "above zero"),
        (["--device", "toaster"], "jetson"),
        (["nowhere.edgevit"], "is not a bundle"),
        (["--variant", "nope"], "has no variant 'nope'; it has float"),
        (["--output", "/"], "Cannot write /: Is a directory"),
        (["--output", "/dev/null/result.json"], "Not a directory"),
    ],
)
def test_bad_bench_options(arguments: list[str], message: str, edgevit: Command) -> None:
    ended = edgevit("bench", *arguments)
    assert ended.code == 2
    assert message in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", ["bench", "eval", "run", "inspect"])
@pytest.mark.parametrize("scheme", ["rtsp:/", "rtsp:///", "rtsp:"])
def test_a_mistyped_address_does_not_show_its_password(
    command: str, scheme: str, edgevit: Command
) -> None:
    ended = edgevit(command, f"{scheme}bob:hush@127.0.0.1/x")
    assert ended.code == 2
    assert "127.0.0.1/x" in ended.one_message
    assert "hush" not in ended.one_message


def test_only_passwords_are_hidden() -> None:
    shown = "error: ssh://nano@10.0.0.5:2222, me@host:x, photo@2x.jpg: no; rtsp:/***@h/x"
    assert without_passwords(shown) == shown


def test_percentiles_need_samples() -> None:
    few = latency_ms([1_000_000] * 63)
    assert (few["p50"], few["p90"], few["p99"], few["samples"]) == (1.0, None, None, 63)
    assert latency_ms([1_000_000] * 64)["p90"] == 1.0
    assert latency_ms([1_000_000] * 661)["p99"] is None
    many = latency_ms(list(range(1_000_000, 101_000_000, 100_000)))
    assert (many["p50"], many["p99"]) == (pytest.approx(50.95), pytest.approx(99.9, abs=0.1))


@pytest.mark.parametrize(
    ("feed", "message"),
    [
        ({}, "got nothing"),
        ({"picture": np.zeros((1, 160, 160, 3), np.uint8)}, "takes image; got picture"),
        ({"image": np.zeros((1, 160, 160, 3), np.float32)}, "is float32"),
        ({"image": np.zeros((2, 160, 160, 3), np.uint8)}, r"expected image uint8\[1, 160"),
        ({"image": np.zeros((160, 160, 3), np.uint8)}, "expected image"),
    ],
)
def test_a_runner_checks_its_feeds(feed: dict[str, np.ndarray], message: str) -> None:
    with (
        OnnxRuntimeRunner(Bundle.open(PREBUILT_BUNDLE).variant()) as runner,
        pytest.raises(InputError, match=message),
    ):
        runner.infer(feed)


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(InputError, match="cannot load"):
        OnnxRuntimeRunner(path)


def test_a_dynamic_dimension_accepts_any_size() -> None:
    spec = TensorSpec("image", "uint8", ("batch", 160, 160, 3))
    assert spec.accepts((7, 160, 160, 3))
    assert not spec.accepts((7, 160, 161, 3))
    assert not spec.accepts((160, 160, 3))


def test_the_machine_is_read_from_a_recorded_tree(tmp_path: Path) -> None:
    """/proc and /sys of a Xeon with hyper-threading, cut to the lines that are read."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz\n"
        "siblings\t: 8\ncpu cores\t: 4\nflags\t\t: fpu avx2 avx512f avx512_vnni amx_int8\n"
        "\nprocessor\t: 1\nmodel name\t: another\n"
    )
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:       16384000 kB\nMemFree: 1 kB\n")
    governor = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    governor.parent.mkdir(parents=True)
    governor.write_text("performance\n")
    machine = x86.describe(tmp_path)
    assert machine.processor == "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz"
    assert machine.threads_per_core == 2
    assert machine.instruction_sets == ("avx2", "avx512f", "avx512_vnni", "amx_int8")
    assert (machine.governor, machine.memory_mib) == ("performance", 16000)


def test_what_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    machine = x86.describe(tmp_path)
    assert machine.processor is machine.governor is machine.memory_mib is None
    assert machine.threads_per_core is None


def test_models_lists_the_zoo(edgevit: Command) -> None:
    listed = {m["name"]: m for m in json.loads(edgevit("models", "--json").out)}
    assert listed["lla_tiny"]["shipped_weights"] == ["tiny_imagenet", "imagenette"]
    assert listed["vit_tiny"]["parameters"] == 5_717_416
    assert "lla_tiny_k49" in edgevit("models").out


def test_doctor_says_what_is_there(edgevit: Command) -> None:
    content = json.loads(edgevit("doctor", "--json").out)
    assert content["purposes"]["run and bench"]["ready"]
    assert content["prebuilt_bundle"] == "lla_tiny, intact"
    assert platform.machine() in content["system"]
    assert "run and bench" in edgevit("doctor").out


def test_doctor_names_the_fix_of_what_is_missing(
    edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed_version(name: str) -> str:
        if name == "torch":
            raise PackageNotFoundError(name)
        return version(name)

    def found_spec(name: str) -> ModuleSpec | None:
        return None if name == "torch" else find_spec(name)

    monkeypatch.setattr("importlib.metadata.version", installed_version)
    monkeypatch.setattr("edgevit_runtimes.doctor.purposes.find_spec", found_spec)
    content = json.loads(edgevit("doctor", "--json").out)
    assert content["purposes"]["export"]["fix"] == install_command("export")
    assert content["purposes"]["run and bench"]["ready"]


def test_version_help_and_no_arguments(edgevit: Command) -> None:
    assert edgevit("--version").out.startswith("edgevit ")
    for command in ("export", "run", "bench", "train", "models", "doctor"):
        assert edgevit(command, "--help").code == 0
    assert edgevit("bnech").code == 2


def test_a_video_frame_is_squashed_and_answered(tmp_path: Path, edgevit: Command) -> None:
    """16:9 in, one answer out."""
    frame = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "frame.png"), frame)
    assert edgevit("run", tmp_path / "frame.png").code == 0


def test_class_names_are_no_markup(
    tmp_path: Path, edgevit: Command, photo_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(photo_folder / "photo0.png", "[red].png")
    small_bundle(Path("small.edgevit"), classes=("[/bold]", "[red]x", "[link=x]y[/link]"))
    ended = edgevit("run", "small.edgevit", "[red].png")
    assert ended.code == 0, ended.err
    for shown in ("[/bold]", "[red]x", "[link=x]y[/link]", "[red].png"):
        assert shown in ended.out


@pytest.mark.parametrize("arguments", [["doctor"], ["models", "--json"]])
def test_a_full_disk_behind_standard_output_is_one_message(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "edgevit", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=environment(),
        )
    assert ended.returncode == 2
    assert ended.stderr.strip() == "error: No space left on device"


def test_a_closed_standard_output_is_no_traceback(photo_folder: Path) -> None:
    command = f"{sys.executable} -m edgevit run {photo_folder}/photo0.png >&-"
    ended = subprocess.run(
        command, shell=True, stderr=subprocess.PIPE, text=True, check=False, env=environment()
    )
    assert ended.returncode == 0, ended.stderr


def test_a_home_that_cannot_be_found_is_no_obstacle(
    edgevit: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
    assert edgevit("doctor", "--json").code == 0


def test_a_path_too_long_is_one_message(edgevit: Command) -> None:
    ended = edgevit("run", "x" * 5000)
    assert ended.code == 2
    assert "File name too long" in ended.one_message


def test_a_bundle_can_be_moved(tmp_path: Path, edgevit: Command, photo_folder: Path) -> None:
    moved = shutil.copytree(PREBUILT_BUNDLE, tmp_path / "elsewhere")
    assert edgevit("run", moved, photo_folder).code == 0


def test_what_a_bundle_says_gives_a_terminal_no_orders(
    tmp_path: Path, photo_folder: Path, edgevit: Command
) -> None:
    hostile = tmp_path / "hostile.edgevit"
    shutil.copytree(PREBUILT_BUNDLE, hostile)
    file = hostile / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["model"]["name"] = "\x1b]0;taken\x07model"
    manifest["classes"] = [f"\x1b[31m{name}" for name in manifest["classes"]]
    manifest["variants"]["\x1b[2Jother"] = manifest["variants"]["float"]
    file.write_text(json.dumps(manifest))
    for arguments in (
        ["run", hostile, photo_folder / "photo2.png"],
        ["run", hostile, photo_folder / "photo3.png", "--variant", "nope"],
        ["inspect", hostile],
    ):
        ended = edgevit(*arguments)
        assert "\x1b" not in ended.out + ended.err
        assert "other" in ended.err or "espresso" in ended.out or "]0;taken" in ended.out
