"""Plots with matplotlib: what they show, and that a browser sees no label on another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver

from claim.claim_verdicts import draw_front
from edgevit.results.page.label_places import Box, label_places
from edgevit.results.plots import draw_confusion, draw_curves, draw_trade_off
from edgevit.results.profile_plot import draw_profile
from support.browser import browser


def _curves(target: Path) -> None:
    log = target.with_suffix(".jsonl")
    epochs = [
        {
            "epoch": i,
            "train_loss": 2.3 / i,
            "val_loss": 2.0 / i + 0.1 * i,
            "val_top1": 0.1 * i,
            "learning_rate": 0.001 / i,
        }
        for i in range(1, 9)
    ]
    log.write_text("".join(f"{json.dumps(entry)}\n" for entry in epochs))
    draw_curves(log, target)


def _trade_off(target: Path) -> None:
    names = ("onnxruntime-x86-avx2", "openvino", "tensorrt")
    tried = [(kept, 1 / (1 + kept), (0.0, 2.0)) for kept in (0, 1, 2, 4, 8, 16, 32)]
    draw_trade_off(dict.fromkeys(names, tried), target, "600 images of photos")


def _claims(target: Path) -> None:
    """Points almost on one another, as seven variants of LaViT are."""
    rows = [
        {
            "key": str(i),
            "model": f"a model with a name, number {i}",
            "family": ("superpixels", "lavit")[i % 2],
            "latency_ms_p50": 13 + 0.05 * (i % 7),
            "top1": {"share": 0.6 + 0.002 * (i % 5), "interval_95": [0.55, 0.66]},
        }
        for i in range(16)
    ]
    draw_front(rows, target)


def _profile(target: Path) -> None:
    """Two runtimes whose parts, operators and variants have long names."""
    groups = [
        {"group": name, "microseconds": 900.0 / i, "limit_microseconds": 90.0 * i}
        for i, name in enumerate(("trunk", "superpixels", "embedding", "attention", "MLP"), 1)
    ]
    ops = {f"FullyConnectedQuantizedLegacy{i}": 500.0 / i for i in range(1, 20)}
    profiles = [
        {
            "variant": f"onnx-int8-with-a-long-name-{i}",
            "runtime": "onnxruntime",
            "precision": "int8",
            "latency_ms_p50": 3.21,
            "groups": groups,
            "ops": ops,
        }
        for i in range(3)
    ]
    draw_profile({"profiles": profiles}, target, "lla_tiny: medians of 100 inferences")


def _confusion(target: Path) -> None:
    classes = [f"a long name of class {i}" for i in range(12)]
    draw_confusion(np.diag(np.arange(100, 112)), classes, target)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


_OVERLAPS = """
const boxes = [...document.querySelectorAll('text')]
  .map(e => [e.textContent, e.getBoundingClientRect()]).filter(([t]) => t.trim());
const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2
  && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 5;
return [boxes.length, boxes.flatMap(([one, a], i) =>
  boxes.slice(i + 1).filter(([, b]) => meet(a, b)).map(([other]) => [one, other]))];
"""


@pytest.mark.parametrize("draw", [_curves, _trade_off, _claims, _confusion, _profile])
def test_no_label_lies_on_another(
    draw: Callable[[Path], None], chromium: webdriver.Chrome, tmp_path: Path
) -> None:
    target = tmp_path / "plot.svg"
    _draw_as_text(draw, target)
    chromium.get(target.as_uri())
    count, overlaps = chromium.execute_script(_OVERLAPS)
    assert count > 12
    assert overlaps == []


def _draw_as_text(draw: Callable[[Path], None], target: Path) -> None:
    """Letters stay text, which a browser measures, and do not become outlines."""
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none"}):
        draw(target)


def _words(draw: Callable[[Path], None], target: Path) -> str:
    _draw_as_text(draw, target)
    return target.read_text()


def test_curves_show_the_validation_loss(tmp_path: Path) -> None:
    shown = _words(_curves, tmp_path / "curves.svg")
    assert "validation" in shown
    assert "training, augmented pictures" in shown


def test_logs_without_a_validation_loss_are_drawn(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    former = {"epoch": 1, "train_loss": 2.0, "val_top1": 0.5, "learning_rate": 0.1}
    log.write_text(json.dumps(former) + "\n")
    draw_curves(log, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_the_trade_off_says_its_pictures(tmp_path: Path) -> None:
    assert "600 images of photos" in _words(_trade_off, tmp_path / "plot.svg")


def test_labels_of_equal_points_are_apart() -> None:
    area = Box(50, 50, 100, 100)
    places = label_places([(50, 50)] * 6, [(12, 10)] * 6, area, radius=4)
    boxes = [Box(*place, 12, 10) for place in places]
    assert not any(a.meets(b) for i, a in enumerate(boxes) for b in boxes[i + 1 :])
    assert not any(box.meets(Box(50, 50, 8, 8)) for box in boxes)
    assert all(box.lies_in(area) for box in boxes)
