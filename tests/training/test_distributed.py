"""Training under torchrun is the training of one process; a killed process costs nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from edgevit.training.distributed.batch_norm import HostSyncBatchNorm2d
from edgevit.training.hardware import has_fast_bfloat16
from support import Command, environment

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
TWO = (*TORCHRUN, "-m", "edgevit")
ONE = ("-m", "edgevit")


def command(launcher: tuple[str, ...], data: Path, run: Path, model: str, batch: int) -> list[str]:
    options = {
        "--data": str(data),
        "--val-data": str(data.parent / f"{data.name}_val"),
        "--model": model,
        "--output": str(run),
        "--batch": str(batch),
        "--epochs": "2",
        "--learning-rate": "0.002",
        "--warmup-epochs": "1",
        "--workers": "1",
        "--device": "cpu",
    }
    return [
        sys.executable,
        *launcher,
        "train",
        *(text for pair in options.items() for text in pair),
    ]


def finished(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, env=environment(), capture_output=True, text=True, check=False, timeout=300
    )


def log_of(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def state_of(run: Path) -> dict[str, torch.Tensor]:
    model: dict[str, torch.Tensor] = torch.load(run / "last.pt", weights_only=True)["model"]
    return model


@pytest.fixture(scope="module")
def data(class_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The class folder to train on, and a copy with other bytes to validate on."""
    root = tmp_path_factory.mktemp("data")
    for file in class_folder.rglob("*.png"):
        for name, tail in (("pictures", b""), ("pictures_val", b"\n")):
            target = root / name / file.relative_to(class_folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes() + tail)
    return root / "pictures"


def assert_equal_runs(data: Path, root: Path, model: str) -> None:
    one = finished(command(ONE, data, root / "one", model, batch=8))
    assert one.returncode == 0, one.stderr
    two = finished(command(TWO, data, root / "two", model, batch=4))
    assert two.returncode == 0, two.stderr
    expected, got = log_of(root / "one"), log_of(root / "two")
    losses = [[epoch["train_loss"] for epoch in log] for log in (expected, got)]
    # bfloat16 keeps 8 bits of a number: two halves of a batch round otherwise than the whole.
    assert losses[1] == pytest.approx(losses[0], rel=3e-2 if has_fast_bfloat16("cpu") else 5e-3)
    assert [epoch["val_top1"] for epoch in got] == [epoch["val_top1"] for epoch in expected]
    identities = [
        torch.load(root / run / "last.pt", weights_only=True)["identity"] for run in ("one", "two")
    ]
    assert identities[0] == identities[1], "a run can go on with another number of processes"
    assert two.stderr.count("validation loss") == 2, "the first process alone reports"
    assert two.stdout.count("trained") == 1


def _normalise_a_part(rank: int, store: str, found: str) -> None:
    """Saves what the layer of one of two processes gives for its half of the batch."""
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    layer = HostSyncBatchNorm2d(6)
    pictures, answers = _batch_and_weights(layer)
    mine = slice(4 * rank, 4 * rank + 4)
    part = pictures[mine].clone().contiguous(memory_format=torch.channels_last).requires_grad_()
    result = layer(part)
    (result * answers[mine]).mean().backward()
    dist.destroy_process_group()
    gradients = (part.grad, layer.weight.grad, layer.bias.grad)
    torch.save((result.detach(), gradients, layer.state_dict()), f"{found}{rank}")


def _batch_and_weights(layer: torch.nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures and the gradients of their answers, [8, 6, 5, 4]; the halves differ in mean."""
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(0.5, 2, 6))
        layer.bias.copy_(torch.linspace(-1, 1, 6))
    made = torch.Generator().manual_seed(3)
    pictures = 3 * torch.randn(8, 6, 5, 4, generator=made)
    pictures[4:] += 2
    return pictures, torch.randn(8, 6, 5, 4, generator=made)


@pytest.mark.slow
def test_normalisation_of_two_processes_is_that_of_the_whole_batch(tmp_path: Path) -> None:
    """Answers, gradients and running statistics; torch's own layer gives the values."""
    found = f"{tmp_path}/found"
    torch.multiprocessing.spawn(
        _normalise_a_part, (f"file://{tmp_path}/store", found), nprocs=2, join=True
    )
    layer = torch.nn.BatchNorm2d(6)
    pictures, answers = _batch_and_weights(layer)
    expected = layer(pictures.requires_grad_())
    (expected * answers).mean().backward()
    parts = [torch.load(f"{found}{rank}", weights_only=True) for rank in (0, 1)]
    torch.testing.assert_close(torch.cat([part[0] for part in parts]), expected.detach())
    gradient = torch.cat([part[1][0] for part in parts]) / 2  # the processes' mean is the loss
    torch.testing.assert_close(gradient, pictures.grad)
    for place, parameter in ((1, layer.weight), (2, layer.bias)):
        mean = (parts[0][1][place] + parts[1][1][place]) / 2
        torch.testing.assert_close(mean, parameter.grad)
    for _, _, state in parts:
        torch.testing.assert_close(state, layer.state_dict())


@pytest.mark.slow
def test_two_processes_train_as_one_with_twice_the_batch(data: Path, tmp_path: Path) -> None:
    """lla_micro has BatchNorm, whose statistics are those of both processes' pictures."""
    assert_equal_runs(data, tmp_path, "lla_micro")


@pytest.mark.slow
@pytest.mark.parametrize("model", ["vit_tiny", "lavit_tiny_128", "lla_tiny_strips"])
def test_every_family_trains_as_one(data: Path, tmp_path: Path, model: str) -> None:
    assert_equal_runs(data, tmp_path, model)


@pytest.mark.parametrize("local_rank", [0, 1])
@pytest.mark.parametrize("options", [["--model", "nothing"], ["--nothing"]])
def test_one_process_of_a_machine_says_what_all_refuse(
    options: list[str], local_rank: int, monkeypatch: pytest.MonkeyPatch, edgevit: Command
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a run")
    monkeypatch.setenv("LOCAL_RANK", str(local_rank))
    ended = edgevit("train", "--data", "pictures", *options)
    assert ended.code == 2
    assert ended.err.count("error: ") == (1 if local_rank == 0 else 0)


@pytest.mark.slow
def test_parts_that_differ_are_refused(data: Path, tmp_path: Path) -> None:
    for batch, reason in ((3, "--batch 3 is odd"), (64, "take 128 images a step")):
        ended = finished(command(TWO, data, tmp_path / "run", "lla_micro", batch))
        assert ended.returncode != 0
        assert ended.stderr.count(reason) == 1, "said by one process of the machine"
        assert "Traceback" not in ended.stderr.split("ChildFailedError")[0].split("torch/")[0]
        assert not (tmp_path / "run").exists()


def until(happens: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not happens():
        assert process.poll() is None, "torchrun ended before a process could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def second_process(torchrun: int, restart: int = 0) -> int | None:
    """The process id of the process of rank 1, after so many restarts; None: there is none yet."""
    wanted = {b"RANK=1", f"TORCHELASTIC_RESTART_COUNT={restart}".encode()}
    for child in Path(f"/proc/{torchrun}/task/{torchrun}/children").read_text().split():
        with suppress(FileNotFoundError, ProcessLookupError):
            if wanted <= set(Path(f"/proc/{child}/environ").read_bytes().split(b"\0")):
                return int(child)
    return None


def kill_second(process: subprocess.Popen[str]) -> None:
    second = second_process(process.pid)
    assert second is not None
    os.kill(second, signal.SIGKILL)


SHORT = ("--epochs", "3", "--checkpoint-every", "1")


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that nobody killed."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    ended = finished([*command(TWO, data, run, "lla_micro", 4), *SHORT])
    assert ended.returncode == 0, ended.stderr
    return run


def assert_same_bits(run: Path, undisturbed: Path) -> None:
    expected, got = state_of(undisturbed), state_of(run)
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[key], got[key]) for key in expected)
    logs = [log_of(each) for each in (undisturbed, run)]
    assert [e["train_loss"] for e in logs[0]] == [e["train_loss"] for e in logs[1]]
    assert [e["epoch"] for e in logs[1]] == [1, 2, 3]


@pytest.mark.slow
def test_a_killed_process_is_started_again_and_nothing_is_lost(
    data: Path, tmp_path: Path, undisturbed: Path
) -> None:
    """By ``torchrun --max-restarts``: the same bits as a run that nobody killed."""
    run = tmp_path / "killed"
    launcher = (*TORCHRUN, "--max-restarts=1", "-m", "edgevit")
    arguments = [*command(launcher, data, run, "lla_micro", 4), *SHORT]
    process = subprocess.Popen(arguments, env=environment(), stderr=subprocess.PIPE, text=True)
    until((run / "last.pt").exists, process)
    kill_second(process)
    until(lambda: second_process(process.pid, restart=1) is not None, process)
    stderr = process.communicate(timeout=300)[1]
    assert process.returncode == 0, stderr
    assert_same_bits(run, undisturbed)


@pytest.mark.slow
def test_without_restarts_the_run_ends_and_is_resumed_from_its_state(
    data: Path, tmp_path: Path, undisturbed: Path
) -> None:
    run = tmp_path / "run"
    arguments = [*command(TWO, data, run, "lla_micro", 4), *SHORT]
    process = subprocess.Popen(arguments, env=environment(), stderr=subprocess.PIPE, text=True)
    until((run / "last.pt").exists, process)
    kill_second(process)
    stderr = process.communicate(timeout=300)[1]
    assert process.returncode != 0
    assert "bug" not in stderr.lower()
    assert state_of(run), "it is whole"
    assert not list(run.glob(".*.partial"))
    resumed = finished([*arguments, "--resume"])
    assert resumed.returncode == 0, resumed.stderr
    assert_same_bits(run, undisturbed)


@pytest.mark.slow
def test_an_interruption_is_said_once(data: Path, tmp_path: Path) -> None:
    """Ctrl-C in a terminal reaches torchrun and all its processes."""
    run = tmp_path / "run"
    arguments = [*command(TWO, data, run, "lla_micro", 4), "--epochs", "100"]
    process = subprocess.Popen(
        arguments, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until((run / "last.pt").exists, process)
    os.killpg(process.pid, signal.SIGINT)
    stderr = process.communicate(timeout=300)[1]
    assert process.returncode != 0
    assert stderr.count("Go on with --resume.") == 1
    assert "interrupted" not in stderr
