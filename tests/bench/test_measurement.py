"""The parts of a measurement on made-up machines: warm-up, sensors, energy, disturbances."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from disturbance import run_of
from edgevit_runtimes.bench import measurement_process
from edgevit_runtimes.bench.disturbance import Run, disturbances
from edgevit_runtimes.bench.energy import Window, energy_per_inference, mean_power_mw
from edgevit_runtimes.bench.sampling import Sampler, summary
from edgevit_runtimes.bench.warmup import warm_up
from edgevit_runtimes.devices.scheduling import process_delayed_s
from edgevit_runtimes.devices.sensors import CpuTime, Reading
from support import environment
from support.machines.recordings import tree_of
from support.needs import not_here

MS = 1_000_000
RECORDED = Path(__file__).parent / "recorded_runs"


class FakeClock:
    """Time that passes only while something is inferred."""

    def __init__(self, durations_ns: Iterator[int]) -> None:
        self.now_ns = 0
        self.durations_ns = durations_ns

    def infer(self) -> None:
        self.now_ns += next(self.durations_ns)

    def __call__(self) -> int:
        return self.now_ns


def _ramp() -> Iterator[int]:
    """Five times slower at first, and steady from the two hundredth on."""
    for i in range(10_000):
        yield int(MS * (1 + 4 * max(0.0, 1 - i / 200)))


def test_warm_up_waits_until_the_latency_stands_still() -> None:
    clock = FakeClock(_ramp())
    warm = warm_up(clock.infer, least=5, clock_ns=clock)
    assert warm.steady
    assert 200 <= warm.inferences <= 400, "not while it still falls; three windows of 50 ms after"


def test_warm_up_gives_up_on_a_machine_that_slows_down_for_ever() -> None:
    clock = FakeClock(int(MS * 1.01**i) for i in range(10_000))
    warm = warm_up(clock.infer, least=5, longest_s=2.0, clock_ns=clock)
    assert not warm.steady
    assert 2.0 <= warm.seconds < 2.5


@pytest.mark.parametrize("least", [1, 700])
def test_warm_up_runs_at_least_what_was_asked(least: int) -> None:
    clock = FakeClock(MS for _ in range(10_000))
    warm = warm_up(clock.infer, least=least, clock_ns=clock)
    assert warm.steady
    assert warm.inferences == max(least, 150), "three windows of 50 inferences"


def test_timed_counts_every_inference_and_little_else() -> None:
    durations, began, ended = measurement_process.timed(lambda: time.sleep(0.001), 50, 60)
    assert len(durations) == 50
    assert min(durations) >= MS
    assert sum(durations) <= ended - began


def test_timed_ends_when_the_time_is_up_but_not_before_one() -> None:
    durations, _, _ = measurement_process.timed(lambda: time.sleep(0.005), 10_000, 0.05)
    assert 1 <= len(durations) <= 12


def _rails(power_mw: list[float | None], step_ns: int = 100 * MS) -> list[Reading]:
    return [
        Reading(i * step_ns, rails_mw={} if p is None else {"VDD_IN": p, "VDD_SOC": 900.0})
        for i, p in enumerate(power_mw)
    ]


def test_energy_is_mean_power_times_time() -> None:
    """4 W for one second and 100 inferences is 40 mJ each, 25 of them above an idle of 1.5 W."""
    energy = energy_per_inference(
        [Window(1.0, 100, _rails([4000.0] * 10))], _rails([1500.0] * 10), "chips", "", {}
    )
    assert energy.per_inference_mj == pytest.approx(40)
    assert energy.above_idle_mj == pytest.approx(25)
    assert (energy.covers, energy.source) == ("VDD_IN", "chips")


def test_power_counts_by_time_and_not_by_readings() -> None:
    at = [0, 100, 200, 300, 1300]
    readings = [
        Reading(t * MS, rails_mw={"VIN": p}) for t, p in zip(at, [1e3] * 4 + [3e3], strict=True)
    ]
    assert mean_power_mw(readings, {}) == pytest.approx((0.3 * 1e3 + 1.0 * 2e3) / 1.3)


@pytest.mark.parametrize("power", [[4000.0] * 4, [4000.0] * 8 + [None] * 4, [None] * 12, []])
def test_too_few_readings_are_no_energy(power: list[float | None]) -> None:
    energy = energy_per_inference([Window(1.0, 100, _rails(power))], [], "chips", "", {})
    assert energy.per_inference_mj is None
    assert "too few whole readings" in str(energy.why_not)


def test_a_rail_that_comes_and_goes_does_not_lower_the_sum() -> None:
    readings = [
        Reading(i * 100 * MS, rails_mw={"CPU": 1e3, **({"GPU": 1e3} if i != 5 else {})})
        for i in range(20)
    ]
    assert mean_power_mw(readings, {}) == pytest.approx(2000)


def test_an_energy_counter_that_starts_again() -> None:
    counts = [250_000, 260_000, 8_000, 18_000, 28_000, 38_000]
    readings = [Reading(i * 100 * MS, energy_uj={"package-0": c}) for i, c in enumerate(counts)]
    used_uj = 10_000 + (262_144 - 260_000 + 8_000) + 30_000
    power = mean_power_mw(readings, {"package-0": 262_144})
    assert power == pytest.approx(used_uj / 1e3 / 0.5)


def test_no_source_is_a_reason_and_no_figure() -> None:
    energy = energy_per_inference([Window(1.0, 9, [])], [], None, "no chip", {})
    assert (energy.per_inference_mj, energy.why_not) == (None, "no chip")


def _run(
    durations_ms: float | list[float] = 1.0,
    steady: bool = True,
    delayed_s: float | None = 0.0,
    **fields: object,
) -> Run:
    """100 inferences of one second in all, ten calm readings; ``fields`` go into each."""
    listed = durations_ms if isinstance(durations_ms, list) else [durations_ms] * 100
    readings = [
        Reading(
            i * 100 * MS,
            **{
                name: value[i] if isinstance(value, list) else value
                for name, value in fields.items()
            },
        )
        for i in range(10)
    ]
    return Run([int(d * MS) for d in listed], 1.0, 0.9, steady, readings, delayed_s)


def test_a_calm_machine_disturbs_nothing() -> None:
    calm = {
        "clocks_mhz": {"cpu0": 1500.0, "gpu": 300.0},
        "slowed": {"gpu-throttle-alert": 0},
        "counters": {"over-current oc3": 37},
        "cpu": [CpuTime(0.1 * i, 0) for i in range(10)],
    }
    assert disturbances([_run(**calm), _run(1.03, **calm)]) == []
    assert disturbances([_run()]) == [], "nor does one that shows nothing"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"slowed": [{"gpu-throttle-alert": int(i == 4)} for i in range(10)]}, "throttled: gpu"),
        ({"counters": [{"over-current oc3": 37 + i // 5} for i in range(10)]}, "oc3, 1 more"),
        (
            {"clocks_mhz": [{"cpu0": 1344.0 if i < 6 else 729.0} for i in range(10)]},
            "between 729 and 1344 MHz",
        ),
        ({"cpu": [CpuTime(0.1 * i, 0.004 * i) for i in range(10)]}, "hypervisor took 0.04"),
        ({"cpu": [CpuTime(0.2 * i, 0) for i in range(10)]}, "other processes used 1.10"),
        ({"cpu": [CpuTime(0.1 * i, 0) for i in range(10)], "delayed_s": None}, "used 0.10"),
        ({"delayed_s": 0.03}, "had its cores for 3.0 % of the time"),
        ({"steady": False, "durations_ms": [1.0] * 20}, "had not settled"),
        ({"durations_ms": [1.0] * 50 + [1.2] * 50}, "drifted by 20 %"),
    ],
)
def test_what_disturbs_a_run_is_named(fields: dict[str, object], reason: str) -> None:
    (found,) = disturbances([_run(**fields)])
    assert reason in found


def test_what_our_own_reading_costs_is_nobody_elses() -> None:
    """The sensors are read by a process of ours, which needs processor time for that."""
    cpu = [CpuTime(0.2 * i, 0, reader_s=0.1 * i) for i in range(10)]
    assert disturbances([_run(cpu=cpu)]) == []


class TestRecordedRuns:
    """Runs of both kinds; see tests/bench/recorded_runs/README.md."""

    def recorded(self, name: str) -> Run:
        return run_of(json.loads((RECORDED / f"{name}.json").read_text()))

    @pytest.mark.parametrize("name", ["quiet-0", "quiet-1"])
    def test_a_quiet_machine_is_called_so(self, name: str) -> None:
        run = self.recorded(name)
        assert disturbances([run]) == []
        assert disturbances([replace(run, steady=False)]) == [], "the measured part stands still"

    @pytest.mark.parametrize("length", [20, 40, 64, 100, 200])
    def test_few_samples_do_not_cry_for_their_noise(self, length: int) -> None:
        """The former rule did for a fifth to a half of these parts."""
        run = self.recorded("quiet-1")
        for start in range(0, 400 - length, 5):  # then its core's other thread woke up
            part = run.durations_ns[start : start + length]
            assert disturbances([replace(run, durations_ns=part)]) == [], start

    @pytest.mark.parametrize(("place", "load"), [(0, 0.05), (1, 0.1), (2, 0.19)])
    def test_little_other_work_that_triples_the_tail_is_named(
        self, place: int, load: float
    ) -> None:
        run = self.recorded(f"busy-{place}")
        p50, p99 = np.percentile(run.durations_ns, [50, 99])
        assert p99 > 1.8 * p50
        found = disturbances([run])[0]
        share = float(found.removeprefix("other processes had its cores for ").split()[0]) / 100
        assert load <= share < 1.5 * load

    @pytest.mark.parametrize("name", ["shifted-0", "shifted-1"])
    def test_a_latency_that_became_another_is_named(self, name: str) -> None:
        (found,) = disturbances([self.recorded(name)])
        assert found.startswith("p50 drifted by")

    def test_processes_of_one_kind_do_not_differ_by_their_noise(self) -> None:
        run = self.recorded("quiet-0")
        parts = [replace(run, durations_ns=run.durations_ns[i::3]) for i in range(3)]
        assert disturbances(parts) == []
        slower = replace(run, durations_ns=[int(1.3 * d) for d in run.durations_ns])
        assert "p50 differs by 30 % between fresh processes" in disturbances([run, slower])


def test_a_process_whose_core_is_taken_knows_how_long() -> None:
    """Two processes on one core; the kernel counts what each waited for the other."""
    if process_delayed_s() is None:
        not_here("this kernel does not say how long threads wait for a core")
    code = (
        "import os, time; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from edgevit_runtimes.devices.scheduling import process_delayed_s;"
        "began = process_delayed_s(); until = time.process_time() + 0.3\n"
        "while time.process_time() < until: pass\n"
        "print(process_delayed_s() - began)"
    )
    command = [sys.executable, "-c", code]
    pair = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
        for _ in range(2)
    ]
    assert max(float(process.communicate()[0]) for process in pair) > 0


def test_processes_that_differ_disturb() -> None:
    (found,) = disturbances([_run(1.0), _run(1.0), _run(1.1)])
    assert found == "p50 differs by 10 % between fresh processes"


def test_a_gpu_clock_counts_where_the_gpu_works() -> None:
    run = _run(clocks_mhz=[{"cpu0": 1500.0, "gpu": 306.0 if i < 5 else 918.0} for i in range(10)])
    assert disturbances([run]) == []
    assert disturbances([run], on_gpu=True) == ["the GPU's clock moved between 306 and 918 MHz"]


def test_sensors_are_sampled_while_they_change(tmp_path: Path) -> None:
    """The real sampler on a recorded Orin whose files change under it, and then vanish."""
    root = tree_of("orin-nano-jetpack-6", tmp_path)
    thermal, rails = root / "sys/class/thermal", root / "sys/class/hwmon/hwmon1"
    with Sampler(root, interval_s=0.01) as sampler:
        began = time.monotonic_ns()
        _until(lambda: len(sampler.between(began, time.monotonic_ns())) >= 5)
        (thermal / "thermal_zone0/temp").write_text("71500\n")
        (thermal / "cooling_device1/cur_state").write_text("2\n")
        (root / "sys/class/hwmon/hwmon3/oc3_event_cnt").write_text("15\n")
        changed = time.monotonic_ns()
        _until(lambda: len(sampler.between(changed, time.monotonic_ns())) >= 5)
        for file in (*rails.glob("*_input"), thermal / "thermal_zone1/temp"):
            file.unlink()
        gone = time.monotonic_ns()
        _until(lambda: len(sampler.between(gone, time.monotonic_ns())) >= 5)
        readings = sampler.between(began, time.monotonic_ns())
    seen = summary(readings)
    assert seen["temperature_c"]["cpu-thermal"] == {"start": 48.875, "most": 71.5}
    assert seen["slowed"] == {"gpu-throttle-alert": 2}
    assert seen["throttling_events"] == {"over-current oc3": 3}
    assert {"VDD_IN", "gpu-thermal"} <= set(seen["vanished"])
    assert mean_power_mw(readings, {}) is None, "a source that vanishes in the middle is no source"
    assert any("throttled" in reason for reason in disturbances([Run([MS], 1, 1, True, readings)]))


def _until(holds: object) -> None:
    for _ in range(500):
        if holds():  # type: ignore[operator]
            return
        time.sleep(0.01)
    raise AssertionError("it never came true")


def test_the_summary_of_nothing_is_empty() -> None:
    seen = summary([])
    assert (seen["readings"], seen["temperature_c"], seen["vanished"]) == (0, {}, [])


@pytest.mark.parametrize(
    ("listed", "mib"),
    [("{pid}, 312\n999999, 12\n", 312.0), ("999999, 12\n", None), ("{pid}, [N/A]\n", None)],
)
def test_memory_of_a_gpu_is_that_of_this_process(
    listed: str, mib: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for ``nvidia-smi``, which no machine here has, in its documented format."""
    import os

    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\nprintf '{listed.format(pid=os.getpid())}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert measurement_process._gpu_mib() == mib
