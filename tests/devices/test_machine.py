"""Knowing the machine: this one, and recordings of those that nobody has at hand."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest

from edgevit.common.errors import InputError
from edgevit_runtimes.devices import machine, power, record
from edgevit_runtimes.devices.advice import advise
from edgevit_runtimes.devices.sensors import Sensors
from edgevit_runtimes.devices.target import this_target
from edgevit_runtimes.devices.tree import TOOLS, Tree
from support import Command
from support.machines.recordings import FOLDER, NAMES, tree_of


@pytest.mark.parametrize(
    ("name", "kind", "cores", "processor"),
    [
        ("orin-nano-jetpack-6", "jetson", 6, "Cortex-A78AE"),
        ("orin-agx-jetpack-6", "jetson", 12, "Cortex-A78AE"),
        ("orin-agx-jetpack-7", "jetson", 12, "Cortex-A78AE"),
        ("thor-jetpack-7", "jetson", 14, "Neoverse-V3AE"),
        ("xavier-agx-jetpack-5", "jetson", 8, "Carmel"),
        ("raspberry-pi-5", "raspberry-pi", 4, "Cortex-A76"),
        ("x86-workstation-rtx", "x86", 4, "Intel(R) Xeon(R) w7-2495X"),
        ("x86-laptop-without-privilege", "x86", 16, "AMD Ryzen 7 5700G with Radeon Graphics"),
    ],
)
def test_a_machine_is_recognised(
    name: str, kind: str, cores: int, processor: str, tmp_path: Path
) -> None:
    described = machine.describe(tree_of(name, tmp_path))
    assert (described.kind, described.cores_usable, described.processor) == (
        kind,
        cores,
        processor,
    )
    assert described.memory_mib is not None
    assert described.memory_mib > 7000
    assert described.kernel in (FOLDER / f"{name}.txt").read_text()


@pytest.mark.parametrize(
    ("name", "l4t", "jetpack", "source", "tensorrt", "cuda", "mode", "capability"),
    [
        ("orin-nano-jetpack-6", "36.4.3", "6.2", "package", "10.3.0", "12.6.11", "25W", "8.7"),
        (
            "orin-agx-jetpack-6",
            "36.4.4",
            "6.2.1",
            "L4T release",
            "10.3.0",
            "12.6.11",
            "MAXN",
            "8.7",
        ),
        ("orin-agx-jetpack-7", "39.2.0", "7.2", "L4T release", "10.16.0", "13.2.0", "MAXN", "8.7"),
        ("thor-jetpack-7", "38.4.0", "7.1", "package", "10.13.3", "13.0.0", "120W", "11.0"),
        ("xavier-agx-jetpack-5", "35.5.0", "5.1.3", "package", "8.5.2", "11.4.19", None, "7.2"),
    ],
)
def test_a_jetson_says_its_versions(
    name: str,
    l4t: str,
    jetpack: str,
    source: str,
    tensorrt: str,
    cuda: str,
    mode: str | None,
    capability: str,
    tmp_path: Path,
) -> None:
    jetson = machine.describe(tree_of(name, tmp_path)).jetson
    assert jetson is not None
    assert (jetson.l4t, jetson.jetpack, jetson.jetpack_source) == (l4t, jetpack, source)
    assert (jetson.tensorrt, jetson.cuda) == (tensorrt, cuda)
    assert jetson.power_mode == (mode or "MODE_15W")
    assert jetson.gpu_capability == capability


def test_power_mode_without_nvpmodel_comes_from_its_files(tmp_path: Path) -> None:
    root = tree_of("orin-nano-jetpack-6", tmp_path)
    (root / "tools" / "nvpmodel").unlink()
    assert _power_mode(root) == "25W"
    (root / "etc" / "nvpmodel.conf").unlink()
    assert _power_mode(root) == "mode 1"
    (root / "var/lib/nvpmodel/status").write_text("")
    assert _power_mode(root) is None


def _power_mode(root: Path) -> str | None:
    jetson = machine.describe(root).jetson
    assert jetson is not None
    return jetson.power_mode


def test_clocks_and_fan(tmp_path: Path) -> None:
    nano = machine.describe(tree_of("orin-nano-jetpack-6", tmp_path))
    assert (nano.cpu_clock.min_mhz, nano.cpu_clock.max_mhz) == (729.6, 1344.0)
    assert nano.jetson is not None
    assert (nano.jetson.gpu_clock.max_mhz, nano.jetson.gpu_clock.is_locked) == (918.0, False)
    assert (nano.jetson.fan.duty, nano.jetson.fan.rpm) == (72, 1636)
    agx = machine.describe(tree_of("orin-agx-jetpack-6", tmp_path))
    assert agx.jetson is not None
    assert agx.jetson.gpu_clock.is_locked
    thor = machine.describe(tree_of("thor-jetpack-7", tmp_path))
    assert thor.jetson is not None
    assert thor.jetson.gpu_clock.max_mhz == 1575.0


def test_a_cuda_gpu_is_listed(tmp_path: Path) -> None:
    (gpu,) = machine.describe(tree_of("x86-workstation-rtx", tmp_path)).gpus
    assert (gpu.name, gpu.capability, gpu.memory_mib) == ("NVIDIA GeForce RTX 4090", "8.9", 24564)
    (thor,) = machine.describe(tree_of("thor-jetpack-7", tmp_path)).gpus
    assert thor.memory_mib is None, "Thor shares its memory: nvidia-smi answers [N/A]"


@pytest.mark.parametrize(
    ("name", "milliwatts", "what"),
    [
        ("orin-nano-jetpack-6", 4769, "VDD_IN"),
        ("thor-jetpack-7", 19780, "VIN"),
        (
            "orin-agx-jetpack-6",
            9013,
            "sum of VDDQ_VDD2_1V8AO, VDD_CPU_CV, VDD_GPU_SOC, VIN_SYS_5V0",
        ),
        ("xavier-agx-jetpack-5", 7584, "sum of CPU, CV, GPU, SOC, SYS5V, VDDRQ"),
    ],
)
def test_power_of_the_whole_board(name: str, milliwatts: int, what: str, tmp_path: Path) -> None:
    with Sensors(tree_of(name, tmp_path)) as sensors:
        rails = sensors.read().rails_mw
        assert sensors.power.source == "power monitors on the board (hwmon INA)"
    total, said = power.whole_input(rails)
    assert (round(total), said) == (milliwatts, what)


def test_an_energy_counter_of_a_package(tmp_path: Path) -> None:
    with Sensors(tree_of("x86-workstation-rtx", tmp_path)) as sensors:
        assert sensors.read().energy_uj == {"package-0": 183218822291}, "dram lies inside"
        assert sensors.power.counter_range_uj() == {"package-0": 262143328850}


@pytest.mark.parametrize("name", ["raspberry-pi-5", "x86-laptop-without-privilege"])
def test_power_that_cannot_be_read_is_unavailable(name: str, tmp_path: Path) -> None:
    with Sensors(tree_of(name, tmp_path)) as sensors:
        reading = sensors.read()
        assert (reading.rails_mw, reading.energy_uj, sensors.power.source) == ({}, {}, None)
        assert sensors.power.why_not


@pytest.mark.parametrize(
    ("line", "rails"),
    [
        (
            "04-27-2026 14:59:42 RAM 775/7620MB (lfb 3x4MB) SWAP 0/3810MB (cached 0MB) CPU "
            "[0%@729,0%@729] GR3D_FREQ 0% cpu@48.625C tj@49.218C VDD_IN 4761mW/4777mW "
            "VDD_CPU_GPU_CV 515mW/502mW VDD_SOC 1428mW/1428mW",
            {"VDD_IN": 4761, "VDD_CPU_GPU_CV": 515, "VDD_SOC": 1428},
        ),
        (
            "RAM 37755/125749MB (lfb 529x4MB) SWAP 31/4096MB (cached 16MB) CPU [2%@972,off] "
            "gpu@41.843C/41.843C VDD_GPU 1975mW/1975mW VDD_CPU_SOC_MSS 5530mW/5530mW "
            "VIN 19780mW/19780mW",
            {"VDD_GPU": 1975, "VDD_CPU_SOC_MSS": 5530, "VIN": 19780},
        ),
        (
            "RAM 14700/15692MB (lfb 3x2MB) SWAP 898/8192MB (cached 23MB) CPU [0%@1190] EMC_FREQ 0%"
            " GR3D_FREQ 0% AO@30C GPU@30.5C PMIC@100C GPU 463/463 CPU 618/618 SYS5V 3306/3306",
            {"GPU": 463, "CPU": 618, "SYS5V": 3306},
        ),
        ("RAM 775/7620MB CPU [0%@729] GR3D_FREQ 0%", {}),
        ("", {}),
    ],
)
def test_tegrastats_lines(line: str, rails: dict[str, float]) -> None:
    """Lines that owners of an Orin Nano, a Thor and a Xavier published."""
    assert power.parse_tegrastats(line) == rails


def test_tegrastats_stands_in_for_hidden_chips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real process that prints recorded lines, and then ends: no old figure outlives it."""
    tool = tmp_path / "tegrastats"
    tool.write_text(
        "#!/bin/sh\nfor i in 1 2 3; do echo 'RAM 1/2MB VDD_IN 4761mW/4777mW'; sleep 0.1; done\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    source = power.open_power(Tree())
    try:
        assert source.source == "tegrastats"
        assert source.rails_mw() == {"VDD_IN": 4761.0}
        source._process.wait()  # type: ignore[attr-defined]
        _until(lambda: source.rails_mw() == {})
    finally:
        source.close()


def _until(holds: object) -> None:
    import time

    for _ in range(100):
        if holds():  # type: ignore[operator]
            return
        time.sleep(0.02)
    raise AssertionError("it never came true")


def test_sensors_that_are_switched_off_are_absent(tmp_path: Path) -> None:
    with Sensors(tree_of("thor-jetpack-7", tmp_path)) as sensors:
        temperatures = sensors.read().temperatures_c
    assert temperatures["tj-thermal"] == 38.875
    assert "gpu-thermal" not in temperatures
    with Sensors(tree_of("xavier-agx-jetpack-5", tmp_path)) as sensors:
        assert "PMIC-Die" not in sensors.read().temperatures_c, "it says 100 C whatever happens"


def test_a_sensor_may_vanish(tmp_path: Path) -> None:
    root = tree_of("orin-nano-jetpack-6", tmp_path)
    with Sensors(root) as sensors:
        assert sensors.read().rails_mw
        for file in root.glob("sys/class/hwmon/hwmon1/*_input"):
            file.unlink()
        (root / "sys/class/thermal/thermal_zone0/temp").write_text("")
        after = sensors.read()
    assert after.rails_mw == {}
    assert "cpu-thermal" not in after.temperatures_c
    assert "gpu-thermal" in after.temperatures_c


def test_throttling_is_seen(tmp_path: Path) -> None:
    with Sensors(tree_of("orin-agx-jetpack-6", tmp_path)) as sensors:
        reading = sensors.read()
    assert reading.slowed["gpu-throttle-alert"] == 1
    assert "pwm-fan" not in reading.slowed, "a fan that turns is no throttling"
    assert reading.counters["over-current oc3"] == 37
    with Sensors(tree_of("raspberry-pi-5", tmp_path)) as sensors:
        slowed = sensors.read().slowed
    assert (slowed["soft temperature limit"], slowed["throttled"]) == (1, 0)
    with Sensors(tree_of("x86-workstation-rtx", tmp_path)) as sensors:
        counters = sensors.read().counters
    assert counters == {"package throttled, seen by cpu0": 3, "core throttled, cpu0": 1}


def test_the_target_follows_the_architecture_of_the_tree(tmp_path: Path) -> None:
    assert this_target(tree_of("x86-workstation-rtx", tmp_path), "x86_64") == "onnxruntime-x86"
    laptop = tree_of("x86-laptop-without-privilege", tmp_path)
    assert this_target(laptop, "x86_64") == "onnxruntime-x86-avx2"


def _advice(name: str, tmp_path: Path) -> dict[str, dict[str, object]]:
    root = tree_of(name, tmp_path)
    return {a.purpose: asdict(a) for a in advise(machine.describe(root), root)}


def test_a_xavier_is_told_plainly_that_it_cannot_run_the_package(tmp_path: Path) -> None:
    advice = _advice("xavier-agx-jetpack-5", tmp_path)
    assert not advice["run edgevit on it"]["ready"]
    assert "Python 3.8.10; edgevit needs 3.10 to 3.13" in str(advice["run edgevit on it"]["found"])
    assert "a Xavier has no newer" in str(advice["run edgevit on it"]["fix"])
    assert not advice["TensorRT"]["ready"]


def test_advice_names_the_line_that_fixes(tmp_path: Path) -> None:
    nano = _advice("orin-nano-jetpack-6", tmp_path)
    assert nano["run edgevit on it"]["ready"]
    assert nano["fixed clocks"]["fix"] == "sudo jetson_clocks"
    assert nano["CSI camera"]["ready"]
    laptop = _advice("x86-laptop-without-privilege", tmp_path)
    assert "chmod a+r" in str(laptop["measure energy"]["fix"])
    assert laptop["fixed clocks"]["ready"]
    bare = tree_of("thor-jetpack-7", tmp_path)
    for path in (*bare.glob("usr/lib/*/libnvinfer*"), *bare.glob("usr/lib/python3*/*/cv2")):
        path.unlink()
    fixes = {a.purpose: a.fix for a in advise(machine.describe(bare), bare)}
    assert fixes["TensorRT"] == "sudo apt install nvidia-jetpack"
    assert fixes["CSI camera"] == "sudo apt install libopencv-python"


@pytest.mark.parametrize("name", NAMES)
def test_doctor_reads_a_recording(name: str, edgevit: Command) -> None:
    file = FOLDER / f"{name}.txt"
    content = json.loads(edgevit("doctor", "--recording", file, "--json").out)
    assert {"machine", "advice"} == set(content)
    printed = edgevit("doctor", "--recording", file)
    assert printed.code == 0
    assert content["machine"]["processor"] in printed.out


def test_a_machine_of_which_nothing_is_known(tmp_path: Path) -> None:
    described = machine.describe(tmp_path)
    assert described.processor is described.memory_mib is described.governor is None
    assert described.jetson is None
    assert described.cpu_clock.max_mhz is None
    assert advise(described, tmp_path)


def test_this_machine_recorded_is_this_machine(tmp_path: Path) -> None:
    """The recorder, in a real shell, finds every file that the readers read."""
    ended = subprocess.run(
        ["sh"], input=record.script(), capture_output=True, text=True, check=True
    )
    record.unpack(ended.stdout, tmp_path)
    live, recorded = asdict(machine.describe()), asdict(machine.describe(tmp_path))
    for read_another_way in ("cores_usable", "python"):
        del live[read_another_way], recorded[read_another_way]
    assert recorded == live


@pytest.mark.parametrize("name", NAMES)
def test_the_recorder_records_recordings(name: str, tmp_path: Path) -> None:
    """Run below a tree, it gives the same again: nothing the readers need is left out."""
    root = tree_of(name, tmp_path)
    script = record.script()
    for top in ("proc", "etc", "sys", "usr", "var"):
        script = script.replace(f" /{top}/", f" {root}/{top}/")
    script = "\n".join(line for line in script.splitlines() if not line.startswith("tool "))
    ended = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=True)
    again = tmp_path / "again"
    again.mkdir()
    record.unpack(ended.stdout.replace(f"{root}/", "/"), again)
    for tool in root.glob("tools/*"):
        (again / "tools").mkdir(exist_ok=True)
        (again / "tools" / tool.name).write_text(tool.read_text())
    assert machine.describe(again) == machine.describe(root)
    with Sensors(root) as before, Sensors(again) as after:
        assert asdict(after.read()) | {"at_ns": 0} == asdict(before.read()) | {"at_ns": 0}


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/etc/passwd",
        "/proc/cpuinfo/../../x",
        "/sys/class/hwmon/../../../name",
        "/tools/sh",
        "/sys/class/thermal/thermal_zone\x1b[2J/type",
    ],
)
def test_a_hostile_recording_is_refused(path: str, tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    with pytest.raises(InputError, match="does not ask for"):
        record.unpack(f"@ /proc/cpuinfo\n|processor : 0\n@ {path}\n|x\n", folder)
    assert list(tmp_path.rglob("*")) == [folder], "nothing is written, inside or outside"


def test_what_is_no_recording_is_refused(tmp_path: Path, edgevit: Command) -> None:
    (tmp_path / "notes.txt").write_text("hello\n|x\n")
    assert "no recording" in edgevit("doctor", "--recording", tmp_path / "notes.txt").one_message
    assert edgevit("doctor", "--recording", tmp_path / "absent.txt").code == 2
    with pytest.raises(InputError, match="more than 4 MiB"):
        record.unpack("@ /proc/cpuinfo\n" + "|x\n" * 2_000_000, tmp_path)


def test_a_tool_that_is_missing_or_fails_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOOLS, "missing", ("no-such-program-here",))
    monkeypatch.setitem(TOOLS, "failing", ("false",))
    monkeypatch.setitem(TOOLS, "silent", ("true",))
    assert [Tree().tool(name) for name in ("missing", "failing", "silent")] == [None] * 3
