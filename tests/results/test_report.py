"""The page of results: what stands in it, and how a real browser shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from selenium import webdriver

from edgevit.common.errors import InputError
from edgevit.images.picture_set import PictureSet
from edgevit.results.bench_result import result_from
from edgevit.results.page.entry import Entry, MeasuredTop1
from edgevit.results.page.html_page import page
from edgevit.results.page.svg import Scale
from edgevit.results.report import report
from support import Command
from support.browser import browser, complaints
from support.made_results import made, made_result, write

HOSTILE = "<script>document.title='taken'</script><img src=x onerror=alert(1)>\"'&"
PHOTOS = PictureSet("photos", 1973, "0a" * 32)


def _entries() -> list[Entry]:
    slow = made(2.4, device="NVIDIA Jetson Orin Nano Developer Kit", seed=3, disturbed=True)
    slow["disturbances"] = ["throttled: gpu-throttle-alert"]
    accuracy = MeasuredTop1(0.803, 0.785, 0.82, 1973, PHOTOS)
    return [
        Entry("a.json", made_result(1.5, seed=1), (accuracy,)),
        Entry("b.json", made_result(0.8, variant="int8", seed=2), (replace(accuracy, top1=0.80),)),
        Entry("c.json", result_from(slow)),
    ]


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))


def _tags(content: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Tags()
    parser.feed(content)
    return parser.seen


def test_the_page_needs_no_other_file() -> None:
    for tag, attributes in _tags(page(_entries())):
        assert tag not in ("script", "link", "img", "iframe", "object")
        assert not {"src", "href", "onload", "onerror"} & set(attributes)


def test_what_stands_in_a_result_is_no_markup() -> None:
    hostile = made(device=HOSTILE, variant=HOSTILE, disturbances=[HOSTILE], disturbed=True)
    hostile["conditions"]["environment"] = {HOSTILE: HOSTILE}
    content = page([Entry(HOSTILE, result_from(hostile)), *_entries()], HOSTILE)
    assert {tag for tag, _ in _tags(content)} <= {tag for tag, _ in _tags(page(_entries()))}
    assert "<script" not in content


@pytest.mark.parametrize(("key", "metric"), [("miou", "mIoU"), ("ap50", "AP50")])
def test_masks_and_boxes_are_shown_by_their_own_metric(
    key: str, metric: str, tmp_path: Path
) -> None:
    """From the file of ``eval``, or else as ``quantize`` measured it; there is no interval."""
    result, quantized = made(), made()
    result["model"]["accuracy"] = None
    measured = write(tmp_path / "bench.json", result)
    quantized["model"] |= {
        "accuracy": {"top1": 0.31, "images": 101, "metric": metric},
        "file_sha256": "e" * 64,
    }
    other = write(tmp_path / "other.json", quantized)
    evaluated = tmp_path / "eval.json"
    evaluated.write_text(json.dumps({"file_sha256": "f" * 64, "images": 101, key: 0.4187}))
    report([measured, other, evaluated], tmp_path / "report.html")
    content = (tmp_path / "report.html").read_text()
    assert f"{metric}, %" in content
    assert f"{metric} (95 %)" not in content
    assert "41.87 %<" in content
    assert "31.00 %<" in content
    assert "top-1" not in content
    evaluated.write_text(json.dumps({"file_sha256": "f" * 64, "images": 101, key: 41.87}))
    with pytest.raises(InputError, match="damaged evaluation"):
        report([measured, evaluated], tmp_path / "report.html")


def test_what_was_not_measured_is_unavailable() -> None:
    result = made()
    result["latency_ms"]["p99"] = None
    result["peak_memory_mib"]["steady"] = None
    content = page([Entry("a.json", result_from(result))])
    assert content.count("unavailable") >= 3
    assert "steady: unavailable" in content
    assert "No result has a known accuracy" in content


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(1.0, 2.0, [1.0, 1.2, 1.4, 1.6, 1.8, 2.0]), (0.7, 30.0, [1, 2, 5, 10, 20]), (3.0, 3.0, [3])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert Scale(low, high, 0, 100).ticks() == pytest.approx(expected)


def test_the_command_joins_accuracy_by_the_model_file(tmp_path: Path, edgevit: Command) -> None:
    bench = write(tmp_path / "bench.json", made())
    evaluation = {
        "file_sha256": "f" * 64,
        "top1": {"share": 0.9, "interval_95": [0.88, 0.92], "right": 90, "of": 100},
    }
    evaluated = write(tmp_path / "eval.json", evaluation)
    target = tmp_path / "report.html"
    assert edgevit("report", bench, evaluated, "-o", target).code == 0
    assert "90.00 %" in target.read_text()
    assert edgevit("report", bench, "-o", target).code == 0
    assert "80.30 %" in target.read_text(), "else what the bundle knew when it was measured"


def _evaluated(top1: float, picture_set: dict[str, Any] | None, file: str = "f") -> dict[str, Any]:
    share = {"share": top1, "interval_95": [top1 - 0.02, top1 + 0.02], "right": 90, "of": 100}
    said = {} if picture_set is None else {"picture_set": picture_set}
    return {"file_sha256": file * 64, "top1": share, **said}


def _charts(content: str) -> list[str]:
    """The part of the page of every chart of accuracy, from its heading on."""
    section = content.partition("<h2>Accuracy against latency</h2>")[2].partition("<h2>")[0]
    return section.split("<h3>")[1:]


def test_accuracies_of_different_pictures_share_no_axis(tmp_path: Path, edgevit: Command) -> None:
    other = made(variant="int8")
    other["model"]["file_sha256"] = "e" * 64
    photos = {"name": "photos", "images": 100, "sha256": "0a" * 32}
    files = (
        write(tmp_path / "a.json", made()),
        write(tmp_path / "b.json", other),
        write(tmp_path / "eval_a.json", _evaluated(0.9, photos)),
        write(tmp_path / "eval_b.json", _evaluated(0.7, {**photos, "sha256": "0b" * 32}, "e")),
        write(tmp_path / "eval_b2.json", _evaluated(0.8, {**photos, "name": "copy"}, "e")),
    )
    target = tmp_path / "report.html"
    assert edgevit("report", *files, "-o", target).code == 0
    content = target.read_text()
    assert "Accuracies of different picture sets cannot be compared" in content
    same, alone = _charts(content)
    assert "photos (100 images, SHA-256 0a0a0a0a0a0a)" in same
    assert "90.00 %" in same
    assert "80.00 %" in same, "a set is known by its hash, not by its name"
    assert "70.00 %" in alone
    assert "90.00 %" not in alone
    assert edgevit("report", *files[:3], files[4], "-o", target).code == 0
    assert len(_charts(target.read_text())) == 1
    assert "cannot be compared" not in target.read_text()


def test_results_that_do_not_say_their_pictures_are_marked(
    tmp_path: Path, edgevit: Command
) -> None:
    photos = {"name": "photos", "images": 1973, "sha256": "0a" * 32}
    other = made(variant="int8")
    other["model"]["file_sha256"] = "e" * 64
    files = (
        write(tmp_path / "a.json", made()),
        write(tmp_path / "b.json", other),
        write(tmp_path / "eval.json", _evaluated(0.9, photos, "e")),
    )
    target = tmp_path / "report.html"
    assert edgevit("report", *files, "-o", target).code == 0
    unknown, known = _charts(target.read_text())
    assert "an unknown picture set (1973 images)" in unknown
    assert "do not say which pictures" in unknown
    assert "do not say which pictures" not in known


@pytest.mark.parametrize("changes", [{"sha256": "0a"}, {"images": -1}, {"name": 3}])
def test_a_picture_set_that_cannot_be_is_refused(
    changes: dict[str, Any], tmp_path: Path, edgevit: Command
) -> None:
    said = {"name": "photos", "images": 1973, "sha256": "0a" * 32, **changes}
    bad = write(tmp_path / "eval.json", _evaluated(0.9, said))
    good = write(tmp_path / "good.json", made())
    assert "damaged evaluation: picture_set" in edgevit("report", good, bad).one_message


def test_bad_files_leave_no_page(tmp_path: Path, edgevit: Command) -> None:
    target = tmp_path / "report.html"
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    good = write(tmp_path / "good.json", made())
    assert "not a result" in edgevit("report", good, bad, "-o", target).one_message
    former = good.read_bytes()
    assert "one of the results" in edgevit("report", good, "-o", good).one_message
    assert good.read_bytes() == former
    assert "No such result" in edgevit("report", tmp_path / "no.json", "-o", target).one_message
    evaluation = write(
        tmp_path / "eval.json",
        {"file_sha256": "f", "top1": {"share": 0.9, "interval_95": [0.8, 1.0]}},
    )
    assert "a report needs one" in edgevit("report", evaluation, "-o", target).one_message
    assert not target.exists()


@pytest.mark.parametrize(
    "top1",
    [
        {"share": 1e308, "interval_95": [0.8, 1.0]},
        {"share": 0.9, "interval_95": [-0.8, 1.0]},
        {"share": 0.9, "interval_95": ["0.8", 1.0]},
        {"share": 0.9, "interval_95": [0.8, 1.0], "of": 10**18},
        {"share": 0.9, "interval_95": [0.8, 1.0], "right": 0.5},
    ],
)
def test_an_evaluation_that_cannot_be_is_refused(
    top1: dict[str, Any], tmp_path: Path, edgevit: Command
) -> None:
    good = write(tmp_path / "good.json", made())
    bad = write(tmp_path / "eval.json", {"file_sha256": "f" * 64, "top1": top1})
    assert "damaged evaluation" in edgevit("report", good, bad).one_message


def test_an_accuracy_that_cannot_be_is_unknown(tmp_path: Path, edgevit: Command) -> None:
    result = made()
    result["model"]["accuracy"] = {"top1": 0.8, "images": 10**18}
    target = tmp_path / "report.html"
    assert edgevit("report", write(tmp_path / "x.json", result), "-o", target).code == 0
    assert "No result has a known accuracy" in target.read_text()


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def _show(
    chromium: webdriver.Chrome,
    tmp_path: Path,
    entries: list[Entry],
    width: int = 1000,
    height: int = 1200,
) -> None:
    target = tmp_path / "report.html"
    target.write_text(page(entries), encoding="utf-8")
    chromium.set_window_size(width, height)
    chromium.get(target.as_uri())


def _evaluate(chromium: webdriver.Chrome, expression: str) -> Any:
    """The value of a JavaScript expression in the page."""
    return chromium.execute_script(f"return {expression};")


def test_a_browser_shows_it_without_a_complaint(chromium: webdriver.Chrome, tmp_path: Path) -> None:
    _show(chromium, tmp_path, _entries())
    assert complaints(chromium) == []
    assert _evaluate(chromium, "document.title") == "edgevit report"
    headings = _evaluate(chromium, "[...document.querySelectorAll('h2')].map(h => h.innerText)")
    assert headings == [
        "Results",
        "Latency, back to back",
        "Peak memory of a fresh process",
        "Accuracy against latency",
        "Conditions",
    ]
    text = _evaluate(chromium, "document.body.innerText")
    for shown in ("NVIDIA Jetson Orin Nano", "disturbed", "unavailable", "throttled: gpu"):
        assert shown in text


def test_the_charts_have_the_shapes_of_the_figures(
    chromium: webdriver.Chrome, tmp_path: Path
) -> None:
    _show(chromium, tmp_path, _entries())
    boxes = "(s) => [...document.querySelectorAll(s)].map(e => e.getBoundingClientRect().toJSON())"
    p50 = [box["x"] for box in _evaluate(chromium, f"({boxes})('.wide line.p50')")]
    assert p50[1] < p50[0] < p50[2], "0.8, 1.5 and 2.4 ms from left to right"
    assert all(box["height"] > 10 for box in _evaluate(chromium, f"({boxes})('.wide .density')"))
    bars = _evaluate(chromium, f"({boxes})('.wide rect.bar')")
    assert len(bars) == 6
    assert all(bar["width"] > 100 for bar in bars)
    assert len(_evaluate(chromium, f"({boxes})('.wide circle.point')")) == 2, (
        "the third has no accuracy"
    )
    picture = cv2.imdecode(
        np.frombuffer(chromium.get_screenshot_as_png(), np.uint8), cv2.IMREAD_COLOR
    )
    colours = {tuple(int(v) for v in pixel) for pixel in picture.reshape(-1, 3)[::7]}
    assert len(colours) > 20, "it is drawn, not blank"


def test_conditions_unfold(chromium: webdriver.Chrome, tmp_path: Path) -> None:
    _show(chromium, tmp_path, _entries())
    assert "conditions.python" not in _evaluate(chromium, "document.body.innerText")
    _evaluate(chromium, "document.querySelector('summary').click()")
    assert "conditions.python" in _evaluate(chromium, "document.body.innerText")


def _crowded() -> list[Entry]:
    """Results of long names that are almost equal, which is where labels would meet."""
    accuracy = MeasuredTop1(0.803, 0.785, 0.82, 1973, PHOTOS, "eval.json")
    return [
        Entry(
            f"bench_{i}.json",
            made_result(1.5 + 0.001 * (i % 3), variant="int8-onnxruntime-x86-avx2", seed=i),
            (replace(accuracy, top1=0.803 + 0.0002 * (i % 2)),),
        )
        for i in range(12)
    ]


_OVERLAPS = """
(() => {
  const boxes = [...document.querySelectorAll('svg text, td > div, h2, h3, p')]
    .map(e => [e.textContent, e.getBoundingClientRect()]).filter(([, b]) => b.width > 0);
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
  return boxes.flatMap(([one, a], i) =>
    boxes.slice(i + 1).filter(([, b]) => meet(a, b)).map(([other]) => [one, other]));
})()
"""
_CUT_OFF = """
[...document.querySelectorAll('svg text, td > div')].filter(e => {
  const box = e.getBoundingClientRect();
  return box.width > 0 && (box.left < -0.5 || box.right > document.documentElement.clientWidth + 0.5
    || (e.ownerSVGElement && box.left < e.ownerSVGElement.getBoundingClientRect().left - 0.5));
}).map(e => e.textContent)
"""


@pytest.fixture(params=[1280, 390], ids=["desk", "phone"])
def screen(request: pytest.FixtureRequest, chromium: webdriver.Chrome) -> Iterator[int]:
    """A window as wide as a desk's or a phone's."""
    width = int(request.param)
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    yield width
    chromium.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("entries", [_entries, _crowded], ids=["few", "crowded"])
def test_no_text_lies_on_another_or_is_cut_off(
    entries: Callable[[], list[Entry]], screen: int, chromium: webdriver.Chrome, tmp_path: Path
) -> None:
    _show(chromium, tmp_path, entries())
    assert _evaluate(chromium, "innerWidth") == screen
    assert _evaluate(chromium, "document.querySelectorAll('svg text').length") > 20
    assert _evaluate(chromium, _OVERLAPS.strip()) == []
    assert _evaluate(chromium, _CUT_OFF.strip()) == []
    sources = "[...document.querySelectorAll('svg text.weak')].map(e => e.textContent).join(' ')"
    assert "…" not in _evaluate(chromium, sources), "where it was measured is said whole"
    assert _evaluate(chromium, "document.documentElement.scrollWidth") <= screen


def test_letters_can_be_read_on_a_phone(
    screen: int, chromium: webdriver.Chrome, tmp_path: Path
) -> None:
    _show(chromium, tmp_path, _entries())
    heights = _evaluate(
        chromium,
        "[...document.querySelectorAll('svg text')].map(e => e.getBoundingClientRect().height)"
        ".filter(height => height > 0)",
    )
    assert min(heights) >= 10


def test_every_accuracy_says_how_many_images_and_where_it_comes_from(
    chromium: webdriver.Chrome, tmp_path: Path
) -> None:
    _show(chromium, tmp_path, _crowded())
    shown = _evaluate(chromium, "document.body.innerText")
    for said in ("1973", "eval.json", "bench_11.json", "900 samples in 3 processes"):
        assert said in shown


def test_a_hostile_result_runs_nothing(chromium: webdriver.Chrome, tmp_path: Path) -> None:
    hostile = made(device=HOSTILE, variant=HOSTILE, disturbances=[HOSTILE], disturbed=True)
    _show(chromium, tmp_path, [Entry(HOSTILE, result_from(hostile))])
    assert _evaluate(chromium, "document.title") == "edgevit report"
    assert _evaluate(chromium, "document.scripts.length + document.images.length") == 0
    assert complaints(chromium) == []
    assert json.dumps(HOSTILE)[1:20] in json.dumps(_evaluate(chromium, "document.body.innerText"))
