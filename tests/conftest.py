"""What the tests share: photographs, a command line in this process or another, bundles."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.common.progress import SilentProgress
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.zoo import PREBUILT_BUNDLE
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.registry import find
from edgevit_runtimes.backends.classifier import BundleClassifier
from edgevit_runtimes.backends.onnxruntime_runner import OnnxRuntimeRunner
from support import Command, Finished, crops, write_png
from support.cameras import write_clip
from support.made_once import folder_of_the_run, made_once
from support.needs import apply_marks


def pytest_configure() -> None:
    """Before torch is loaded, and inherited by workers and by commands that tests start.

    OpenMP's threads burn their cores while they wait for each other. Where other workers need
    these, a tiny training took three times the processor's time.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


_EARLY = 1000  # tests that a file counts as


def pytest_runtest_setup(item: pytest.Item) -> None:
    apply_marks(item)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """For ``--dist loadfile``, see tests/support/scheduling."""
    if config.getoption("dist") != "loadfile":
        return None
    from support.scheduling.whole_files import WholeFiles

    return WholeFiles(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is slow by its mark has an hour instead of pyproject.toml's time.

    Files with many tests, or marked ``early``, come first: a long one must not begin as the last.
    """
    weights = Counter(item.path for item in items)
    for item in items:
        if item.get_closest_marker("slow") or item.get_closest_marker("arm64"):
            item.add_marker(pytest.mark.timeout(3600), append=False)
        if item.get_closest_marker("early"):
            weights[item.path] += _EARLY
    items.sort(key=lambda item: -weights[item.path])  # stable: files stay whole


def pytest_collection_finish() -> None:
    """What is imported and collected stays: the garbage collector need not visit it any more."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """onnxsim prints a page about all that is not freed when Python ends."""
    gc.unfreeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many were skipped, by the reason's first words; pytest's own line comes after it."""
    skipped = terminalreporter.stats.get("skipped", [])
    missing = sum("missing: " in str(report.longrepr) for report in skipped)
    terminalreporter.write_line(f"{len(skipped)} skipped, {missing} of them for a missing tool")


@pytest.fixture(scope="session", autouse=True)
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the run keeps what torch.onnx made, see tests/support/traces.py."""
    root = folder_of_the_run(tmp_path_factory) / "traces"
    with pytest.MonkeyPatch.context() as patch:
        if "torch" in sys.modules:  # tests that do without it need not wait for it
            from support.traces import share_traces

            share_traces(root, patch)
        yield root


@pytest.fixture(scope="session", autouse=True)
def short_comparisons() -> Iterator[None]:
    """Few rounds: what is compared in this process is whether it is compared, not how precisely."""
    from edgevit_runtimes.bench import measure

    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("_ROUNDS", 3), ("_BLOCK", 5), ("_IDLE_S", 0.3)):
            patch.setattr(measure, name, value)
        for name, value in (("COLD_STARTS", 1), ("HOT_PROCESSES", 2)):
            patch.setattr(measure, name, value)
        yield


@pytest.fixture(scope="session", autouse=True)
def trust_of_the_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state folder of the run's own: what one worker made, the others trust."""
    state = folder_of_the_run(tmp_path_factory) / "state"
    state.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(state))
        yield state


@pytest.fixture
def edgevit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line in this process: ``edgevit("run", path)``."""
    from edgevit.cli import main

    def call(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["edgevit", *map(str, arguments)])
        # Else a thread that an earlier test left behind lets this process end, the tests with it.
        monkeypatch.setattr("edgevit.cli.any_abandoned", lambda: False)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Finished(int(ended.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def photos() -> list[Image]:
    """Real photographs of several sizes and aspects, one of them 16:9."""
    import skimage.data

    wide = skimage.data.coffee()[40:377]  # 337 x 600
    return [skimage.data.astronaut(), skimage.data.chelsea(), wide, skimage.data.rocket()]


@pytest.fixture(scope="session")
def photo_batch(photos: list[Image]) -> Image:
    """The same photographs as lla_tiny's input, uint8 [4, 160, 160, 3]."""
    return image_io.batch(photos, Preprocess(find("lla_tiny").spec.image_px))


@pytest.fixture(scope="session")
def photo_folder(photos: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same photographs as files."""
    folder = tmp_path_factory.mktemp("photos")
    for i, photo in enumerate(photos):
        write_png(folder / f"photo{i}.png", photo)
    return folder


@pytest.fixture(scope="session")
def class_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ImageFolder: two classes that differ in colour, ten images each."""
    root = tmp_path_factory.mktemp("classes")
    rng = np.random.default_rng(0)
    for label, colour in (("red", (200, 40, 40)), ("blue", (40, 40, 200))):
        (root / label).mkdir()
        for i in range(10):
            picture = rng.normal(colour, 30, (64, 80, 3)).clip(0, 255).astype(np.uint8)
            write_png(root / label / f"{i}.png", picture)
    return root


@pytest.fixture(scope="session")
def lla_bundle(tmp_path_factory: pytest.TempPathFactory, photo_batch: Image) -> Path:
    """The shipped weights, exported here with a superpixel output and a dynamic batch."""

    def export(folder: Path) -> None:
        from edgevit_export.convert.export_pipeline import ExportRequest, export_bundle

        request = ExportRequest(
            find("lla_tiny"),
            folder / "lla_tiny.edgevit",
            photo_batch,
            batch=None,
            with_superpixels=True,
        )
        export_bundle(request, OnnxRuntimeRunner, SilentProgress())

    return made_once(folder_of_the_run(tmp_path_factory) / "exported", export) / "lla_tiny.edgevit"


@pytest.fixture(scope="session")
def vit_bundle(tmp_path_factory: pytest.TempPathFactory, photo_batch: Image) -> Path:
    """A model without superpixels and without weights, as small as the zoo has them."""

    def export(folder: Path) -> None:
        from edgevit_export.convert.export_pipeline import ExportRequest, export_bundle

        pictures = image_io.batch(list(photo_batch), Preprocess(32))
        request = ExportRequest(find("vit_tiny_32"), folder / "vit_tiny_32.edgevit", pictures)
        export_bundle(request, OnnxRuntimeRunner, SilentProgress())

    return made_once(folder_of_the_run(tmp_path_factory) / "vit", export) / "vit_tiny_32.edgevit"


@pytest.fixture(scope="session")
def colour_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that finds what is red and what is blue."""

    def make(target: Path) -> None:
        from edgevit.workflows.export import export
        from support.models.colour_models import CLASSES, ColourDetector

        export(ColourDetector(), target / "it.edgevit", classes=CLASSES, parity_count=2)

    return made_once(folder_of_the_run(tmp_path_factory) / "colour_boxes", make) / "it.edgevit"


@pytest.fixture(scope="session")
def colour_segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that tells red and blue pixels from others."""

    def make(target: Path) -> None:
        from edgevit.workflows.export import export
        from support.models.colour_models import MASK_CLASSES, ColourSegmenter

        export(ColourSegmenter(), target / "it.edgevit", classes=MASK_CLASSES, parity_count=2)

    return made_once(folder_of_the_run(tmp_path_factory) / "colour_masks", make) / "it.edgevit"


@pytest.fixture(scope="session")
def all_forms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bundle with INT8 for four runtimes and FP16."""

    def quantize(folder: Path) -> None:
        from support.compiled_bundles import with_all_forms

        with_all_forms(folder / "lla_tiny.edgevit")

    return (
        made_once(folder_of_the_run(tmp_path_factory) / "all_forms", quantize) / "lla_tiny.edgevit"
    )


@pytest.fixture(scope="session")
def answered(tmp_path_factory: pytest.TempPathFactory, photos: list[Image]) -> Path:
    """Views in the folder of the class that the shipped float model calls them: it is always right.

    ``train`` calibrates, ``val`` judges: 48 images each, at least two of every class.
    """

    def classify(root: Path) -> None:
        found = {"train": crops(photos, 160, 1), "val": crops(photos, 160, 2)}
        with BundleClassifier(Bundle.open(PREBUILT_BUNDLE), "float") as classifier:
            answers = {
                part: [answer[0] for answer in classifier.answer(views, 1)]
                for part, views in found.items()
            }
        often = [Counter(answer.label for answer in part) for part in answers.values()]
        shared = {name for name in often[0] if min(part[name] for part in often) > 1}
        for part, views in found.items():
            surest = sorted(range(len(views)), key=lambda i: -answers[part][i].probability)
            taken: Counter[str] = Counter()
            ranked = []  # the surest of every class, then the second of every class, ...
            for i in surest:
                name = answers[part][i].label
                if name in shared:
                    ranked.append((taken[name], name, i))
                    taken[name] += 1
            for _, name, i in sorted(ranked)[:48]:
                (root / part / name).mkdir(parents=True, exist_ok=True)
                write_png(root / part / name / f"{i}.png", views[i])

    return made_once(folder_of_the_run(tmp_path_factory) / "answered", classify)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory, photos: list[Image]) -> Path:
    """A short video of a real photograph, see tests/support/cameras.py."""
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", photos[0])
