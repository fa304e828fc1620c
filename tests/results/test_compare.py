"""Results compared and repeated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgevit.common.errors import InputError
from edgevit.results.bench_result import BenchResult, parse_result, read_result, result_from
from edgevit.results.compare import compare, differing_conditions, latency_ratio
from edgevit.workflows.bench import _options_of
from edgevit.zoo import PREBUILT_BUNDLE
from support import Command
from support.made_results import made, made_result, write


def test_a_slower_model_is_slower() -> None:
    ratio = latency_ratio(made_result(1.5, seed=1), made_result(1.8, seed=2))
    assert ratio.value == pytest.approx(1.2, rel=0.01)
    assert 1.18 < ratio.low < ratio.value < ratio.high < 1.22


def test_the_same_twice_has_one_inside() -> None:
    ratio = latency_ratio(made_result(seed=1), made_result(seed=2))
    assert ratio.low < 1 < ratio.high


def test_processes_that_differ_widen_the_interval() -> None:
    steady = latency_ratio(made_result(seed=1), made_result(1.55, seed=2))
    restless = latency_ratio(
        made_result(seed=1, process_spread=0.1), made_result(1.55, seed=2, process_spread=0.1)
    )
    assert restless.high - restless.low > 4 * (steady.high - steady.low)
    assert steady.low > 1, "3 % more is sure on a steady machine"
    assert restless.low < 1, "and not on a restless one"


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(12):
        ratio = latency_ratio(made_result(1.5, seed=2 * seed), made_result(1.53, seed=2 * seed + 1))
        inside += ratio.low <= 1.02 <= ratio.high
    assert inside >= 10, "95 % of 12 is 11.4"


def test_what_one_of_them_could_not_read_is_no_ratio() -> None:
    energy = {**made()["energy"], "per_inference_mj": 12.0, "why_not": None}
    first, second = made_result(energy=energy), made_result()
    assert compare(first, second).energy_per_inference is None
    assert compare(first, made_result(energy=energy)).energy_per_inference == 1.0


def test_differing_conditions_are_named() -> None:
    content = made(device="NVIDIA Jetson Orin Nano", variant="int8")
    content["conditions"]["threads"] = 2
    content["conditions"]["machine"]["jetson"] = {"power_mode": "15W", "l4t": "36.4.3"}
    first, second = made_result(), result_from(content)
    differing = compare(first, second).differing_conditions
    assert "device: Some Processor / NVIDIA Jetson Orin Nano" in differing
    assert {"variant: float / int8", "threads: 1 / 2"} <= set(differing)
    assert "power mode: unavailable / 15W" in differing
    assert compare(first, made_result(seed=9)).differing_conditions == ()


def test_accuracies_of_different_pictures_are_marked() -> None:
    def measured_on(**accuracy: object) -> BenchResult:
        content = made()
        content["model"]["accuracy"] = {"top1": 0.9, "images": 40, **accuracy}
        return result_from(content)

    photos = {"name": "photos", "images": 40, "sha256": "0a" * 32}
    first = measured_on(picture_set=photos)
    assert differing_conditions(first, measured_on(picture_set={**photos, "name": "x"})) == []
    (other,) = differing_conditions(first, measured_on(picture_set={**photos, "sha256": "b" * 64}))
    assert "photos (40 images, SHA-256 0a0a0a0a0a0a) / photos (40 images, SHA-256 bbbb" in other
    assert "not comparable" in other
    (unknown,) = differing_conditions(first, measured_on())
    assert "an unknown picture set (40 images)" in unknown
    assert differing_conditions(measured_on(), measured_on()) == []
    assert len(differing_conditions(measured_on(), measured_on(images=41))) == 1


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    return {
        name: write(tmp_path / f"{name}.json", made(p50, seed=i))
        for i, (name, p50) in enumerate(
            {"before": 1.5, "same": 1.5, "slower": 1.65, "faster": 1.2}.items()
        )
    }


def test_compare_prints_ratios(edgevit: Command, files: dict[str, Path]) -> None:
    ended = edgevit("bench", "--compare", files["before"], files["slower"], files["faster"])
    assert ended.code == 0
    assert "latency p50" in ended.out
    assert "1.1" in ended.out
    assert "0.8" in ended.out
    listed = json.loads(
        edgevit("bench", "--compare", files["before"], files["slower"], "--json").out
    )
    assert listed["others"][0]["latency_p50"]["ratio"] == pytest.approx(1.1, rel=0.02)


@pytest.mark.parametrize(
    ("name", "limit", "code"),
    [("same", "5%", 0), ("slower", "5%", 1), ("slower", "20", 0), ("faster", "0%", 0)],
)
def test_fail_if_slower(
    name: str, limit: str, code: int, edgevit: Command, files: dict[str, Path]
) -> None:
    ended = edgevit("bench", "--compare", files["before"], files[name], "--fail-if-slower", limit)
    assert ended.code == code
    if code:
        assert "Slower by more than 5 %" in ended.one_message
        assert "slower.json: p50 times 1.1" in ended.one_message


def _without(*path: str) -> str:
    result = made()
    part = result
    for key in path[:-1]:
        part = part[key]
    del part[path[-1]]
    return json.dumps(result)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "not a result of edgevit bench"),
        ('{"top1": 0.8}', "not a result of edgevit bench"),
        (json.dumps(made(schema=2)), "has schema 2"),
        (_without("latency_ms"), "latency_ms is missing"),
        (_without("latency_ms", "warmup", "steady"), "latency_ms.warmup.steady is missing"),
        (
            json.dumps(made(throughput_images_per_s="many")),
            "per_s is str, expected float",
        ),
        (
            json.dumps(made(energy={"per_inference_mj": True})),
            "energy.per_inference_mj is bool",
        ),
        (_without("model", "variant"), "model.variant is missing"),
        (_without("conditions", "machine"), "conditions.machine is missing"),
        (json.dumps(made(durations_us=[])), "durations_us: Expected `array` of length >= 1"),
        (
            json.dumps(made(durations_us=[[1.0, -2.0]])),
            r"us\[0\]\[1\]: Expected `float` >= 0.001",
        ),
        (json.dumps(made(durations_us=[[1.0, "x"]])), r"durations_us\[0\]\[1\] is str"),
        (json.dumps(made(durations_us=[[float("nan")]])), "NaN is no figure"),
        (
            json.dumps(made(durations_us=[[5e-324]])),
            r"us\[0\]\[0\]: Expected `float` >= 0.001",
        ),
        (
            json.dumps(made(durations_us=[[1e300]])),
            r"us\[0\]\[0\]: Expected `float` <= 86400",
        ),
        (json.dumps(made(throughput_images_per_s=1e308)), "out of all bounds"),
        (
            json.dumps(made(throughput_images_per_s=-1)),
            "per_s: Expected `float` >= 0.0",
        ),
        (json.dumps(made(anything=10**400)), "401 digits"),
        (json.dumps(made(anything=0.5)).replace("0.5", "1e999"), "1e999 is too large"),
        (json.dumps(made(anything="?")).replace('"?"', "[" * 700 + "]" * 700), "too deep"),
        (json.dumps(made(disturbed=0)), "disturbed is int, expected bool"),
    ],
)
def test_what_is_no_result_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_result(text, "x.json")


@pytest.mark.parametrize(
    ("changes", "read"),
    [
        ({"anything": 1}, True),
        ({"schema_minor": 7, "of_tomorrow": {"a": [1]}}, True),
        ({"schema_minor": "x"}, False),
        ({"schema_minor": -1}, False),
    ],
)
def test_a_newer_minor_version_only_adds_fields(changes: dict[str, object], read: bool) -> None:
    text = json.dumps(made(**changes))
    if read:
        assert parse_result(text, "x.json") == made_result()
    else:
        with pytest.raises(InputError, match="schema_minor"):
            parse_result(text, "x.json")


def test_a_result_with_the_former_names_of_ratios_is_read() -> None:
    former = {
        "result": "first.json",
        "latency_p50": {"ratio": 1.1, "interval_95": [1.0, 1.2]},
        "latency_p90": None,
        "latency_p99": None,
        "throughput": 0.9,
        "cold start": 1.5,
        "peak memory, load": 1.0,
        "peak memory, steady": 1.0,
        "energy per inference": None,
        "differing_conditions": [],
        "disturbed": [False, True],
    }
    repeats = parse_result(json.dumps(made(repeats=former)), "x.json").repeats
    assert repeats is not None
    assert repeats.cold_start == 1.5
    assert repeats.disturbed == (False, True)


def test_a_result_is_read_as_it_was_written() -> None:
    result = made_result()
    assert parse_result(json.dumps(result.to_dict()), "x.json") == result


def test_a_result_that_is_not_there(tmp_path: Path, edgevit: Command) -> None:
    with pytest.raises(InputError, match="No such result"):
        read_result(tmp_path / "absent.json")
    ended = edgevit("bench", "--compare", tmp_path, tmp_path / "b.json")
    assert "is a folder" in ended.one_message


def test_a_result_is_repeated_and_compared(tmp_path: Path, edgevit: Command) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    options = ("--samples", 60, "--frames", 4, "--fps", 100, "--warmup", 1, "--max-seconds", 1)
    assert edgevit("bench", *options, "--output", first).code == 0
    printed = edgevit("bench", "--repeat", first, "--output", second)
    assert printed.code == 0, printed.err
    assert "over the former" in printed.out
    again = read_result(second)
    assert again.options == read_result(first).options
    p50 = [np.median(np.concatenate(result.durations_us)) for result in (read_result(first), again)]
    assert again.repeats.latency_p50.ratio == pytest.approx(p50[1] / p50[0])
    assert again.repeats.differing_conditions == ()


def test_a_result_with_the_former_native_kernels_opens_compares_and_can_be_repeated() -> None:
    """As edgevit 0.1 wrote it. A result may also say nothing of what finds superpixels."""
    content, silent = made(), made()
    content["conditions"]["superpixels"] = "native kernels"
    content["options"]["native"] = True
    del silent["conditions"]["superpixels"]
    former, today = result_from(content), result_from(silent)
    assert today == made_result()
    assert "superpixels by native kernels" in str(former.sections()[0])
    assert "superpixels by" not in str(today.sections()[0])
    differing = "superpixels: native kernels / function bodies"
    assert compare(former, today).differing_conditions == (differing,)
    assert _options_of(former) == _options_of(today)


def test_a_result_of_another_model_is_not_repeated(tmp_path: Path, edgevit: Command) -> None:
    other = write(tmp_path / "other.json", made())
    assert "its SHA-256 differs" in edgevit("bench", PREBUILT_BUNDLE, "--repeat", other).one_message
    assert "Give the bundle too" in edgevit("bench", "--repeat", other).one_message
    assert "leave out --threads" in edgevit("bench", "--repeat", other, "--threads", 1).one_message
    malformed = made()
    malformed["options"]["threads"] = "many"
    bad = write(tmp_path / "bad.json", malformed)
    ended = edgevit("bench", PREBUILT_BUNDLE, "--repeat", bad)
    assert ended.code == 2
    assert "Traceback" not in ended.err
