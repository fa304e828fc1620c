"""The Python API: a model loaded by name or path, pictures of every kind, feeds, threads."""

from __future__ import annotations

import io
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import edgevit
from edgevit.bundle.bundle import MANIFEST_FILE
from edgevit.common.installation.install_command import install_command, upgrade_advice
from edgevit.images import image_io
from edgevit.images.image_io import Image
from support import Command, Finished, python
from support.cameras import CLIP_FRAMES
from support.zoo import float_copy


@pytest.fixture(scope="module")
def model() -> Iterator[edgevit.Model]:
    with edgevit.load("lla_tiny") as model:
        yield model


def same(one: edgevit.Prediction, other: edgevit.Prediction) -> bool:
    return bool((one.probabilities == other.probabilities).all())


class TestOnePicture:
    def test_a_file_has_one_result(self, model: edgevit.Model, photo_folder: Path) -> None:
        result = model(photo_folder / "photo2.png")
        assert result.label == "espresso", "photo2.png shows a cup of coffee"
        assert result.probability == result.probabilities.max() == result.top(1)[0].probability
        assert result.probabilities.dtype == np.float32
        assert result.probabilities.shape == (len(result.classes),) == (200,)
        assert result.probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert result.latency_ms > 0
        assert result.source == str(photo_folder / "photo2.png")
        assert same(result, model(str(photo_folder / "photo2.png")))

    def test_top_is_sorted_and_as_long_as_asked(
        self, model: edgevit.Model, photos: list[Image]
    ) -> None:
        result = model(photos[0], top=2)
        shown = result.to_dict()["answers"]
        assert [answer["label"] for answer in shown] == [a.label for a in result.top(2)]
        probabilities = [answer.probability for answer in result.top(999)]
        assert probabilities == sorted(result.probabilities.tolist(), reverse=True)
        with pytest.raises(edgevit.InputError, match="1 or more; got 0"):
            result.top(0)

    def test_the_former_name_of_probability_stays_for_now(
        self, model: edgevit.Model, photos: list[Image]
    ) -> None:
        (answer,) = model(photos[0], top=1).to_dict()["answers"]
        assert answer["share"] == answer["probability"]

    def test_arrays_files_and_pil_images_agree(
        self, model: edgevit.Model, photo_folder: Path, photos: list[Image]
    ) -> None:
        from PIL import Image as PilImage

        file = photo_folder / "photo1.png"
        expected = model(file)
        assert same(model(photos[1]), expected)
        assert same(model(photos[1][:, :, ::-1], bgr=True), expected)
        assert same(model(cv2.imread(str(file)), bgr=True), expected)
        assert same(model(np.dstack([photos[1], photos[1][:, :, :1]])), expected), "alpha"
        with PilImage.open(file) as image:
            result = model(image)
            assert same(result, expected)
            assert result.source == str(file)
            assert same(model(image.convert("RGBA")), expected)

    def test_grey_is_repeated_as_a_grey_file_is(
        self, model: edgevit.Model, photos: list[Image], tmp_path: Path
    ) -> None:
        grey = cv2.cvtColor(photos[0], cv2.COLOR_RGB2GRAY)
        cv2.imwrite(str(tmp_path / "grey.png"), grey)
        expected = model(tmp_path / "grey.png")
        assert same(model(grey), expected)
        assert same(model(grey[:, :, None]), expected)

    def test_a_pil_image_is_turned_as_its_file_is(
        self, model: edgevit.Model, photos: list[Image], tmp_path: Path
    ) -> None:
        from PIL import Image as PilImage

        image = PilImage.fromarray(photos[1])
        exif = image.getexif()
        exif[0x0112] = 6  # turn clockwise
        image.save(tmp_path / "turned.png", exif=exif)
        with PilImage.open(tmp_path / "turned.png") as opened:
            assert same(model(opened), model(tmp_path / "turned.png"))
            assert not same(model(opened), model(photos[1]))

    def test_turned_and_mirrored(self, model: edgevit.Model, photos: list[Image]) -> None:
        turned = np.rot90(photos[1], -1)[:, ::-1]
        result = model(photos[1], rotate=90, mirror=True)
        assert same(result, model(turned))
        np.testing.assert_array_equal(result.picture, turned)

    def test_superpixels_and_the_drawn_picture(
        self, model: edgevit.Model, photos: list[Image], tmp_path: Path
    ) -> None:
        result = model(photos[2])
        assert result.superpixels is not None
        assert (result.superpixels.dtype, result.superpixels.shape) == (np.int32, (40, 40))
        assert set(np.unique(result.superpixels)) <= set(range(25))
        assert result.superpixels is result.superpixels, "found once"
        drawn = result.plot(tmp_path / "drawn.png")
        assert (drawn.dtype, drawn.shape) == (np.uint8, photos[2].shape)
        assert (drawn != photos[2]).any()
        np.testing.assert_array_equal(image_io.read(tmp_path / "drawn.png"), drawn)
        with pytest.raises(edgevit.InputError, match="must end in a picture's suffix"):
            result.plot(tmp_path / "drawn.txt")

    def test_superpixels_that_the_model_gives_out_are_those(
        self, model: edgevit.Model, lla_bundle: Path, photos: list[Image]
    ) -> None:
        with edgevit.load(lla_bundle) as other:
            results = other(photos[:2])
        for result, photo in zip(results, photos, strict=False):
            np.testing.assert_array_equal(result.superpixels, model(photo).superpixels)

    def test_print_shows_the_classes(self, model: edgevit.Model, photo_folder: Path) -> None:
        result = model(photo_folder / "photo2.png", top=2)
        assert "photo2.png" in str(result)
        assert "espresso" in str(result)
        assert " ms" in str(result)
        assert "photo2.png: espresso" in repr([result])


class TestSeveralPictures:
    def test_a_folder_a_glob_and_a_list(
        self, model: edgevit.Model, photo_folder: Path, photos: list[Image]
    ) -> None:
        names = [f"photo{i}.png" for i in range(4)]
        from_folder = model(photo_folder)
        assert [Path(result.source).name for result in from_folder] == names
        for other in (
            model(f"{photo_folder}/*.png"),
            model([str(photo_folder / name) for name in names]),
            model([photos[0], photo_folder / "photo1.png", photos[2], photos[3]]),
            model(photo for photo in photos),
            model([photo_folder]),
        ):
            assert all(map(same, other, from_folder))
        assert len(model([photos[0]])) == 1, "a list of one is a list"

    def test_a_result_of_a_file_reads_it_again(
        self, model: edgevit.Model, photos: list[Image], tmp_path: Path
    ) -> None:
        image_io.write(tmp_path / "one.png", photos[1])
        (result,) = model(tmp_path)
        np.testing.assert_array_equal(result.picture, photos[1])
        (tmp_path / "one.png").unlink()
        with pytest.raises(edgevit.InputError, match="No such image"):
            result.plot()

    def test_a_generator_that_raises_is_heard(
        self, model: edgevit.Model, photos: list[Image]
    ) -> None:
        def broken() -> Iterator[Image]:
            yield photos[0]
            raise ZeroDivisionError("the caller's own")

        with pytest.raises(ZeroDivisionError, match="the caller's own"):
            model(broken())


def _wide_pil() -> Any:
    from PIL import Image as PilImage

    return PilImage.fromarray(np.zeros((8, 8), np.uint16))


def _cut_pil() -> Any:
    from PIL import Image as PilImage

    page = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    PilImage.fromarray(noise).save(page, "png")
    return PilImage.open(io.BytesIO(page.getvalue()[:2000]))


class _Tensor:
    """Stands for one of torch, which a device does not have."""

    def __iter__(self) -> Iterator[int]:
        return iter([1, 2, 3])


_Tensor.__module__, _Tensor.__qualname__ = "torch", "Tensor"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda: np.zeros((3, 40, 40), np.uint8), "array.transpose(1, 2, 0)"),
        (lambda: np.zeros((40, 40, 3), np.float32), "(255 * array).round().astype('uint8')"),
        (lambda: np.zeros((40, 40, 3), np.uint16), "Scale it to 0 to 255"),
        (lambda: np.zeros((40, 40), bool), "255 * array.astype('uint8')"),
        (lambda: np.zeros((0, 40, 3), np.uint8), "which is empty"),
        (lambda: np.zeros((2, 40, 40, 3), np.uint8), "model(list(batch))"),
        (lambda: np.zeros((40, 40, 5), np.uint8), "grey [H, W] or RGBA; got uint8[40, 40, 5]"),
        (lambda: np.zeros(40, np.uint8), "got uint8[40]"),
        (lambda: np.array([None]), "got object[1]"),
        (list, "the list is empty"),
        (lambda: iter(()), "the list is empty"),
        (lambda: [[np.zeros((4, 4, 3), np.uint8)]], "Item 0 of the list is a list itself"),
        (lambda: None, "got NoneType"),
        (lambda: 3, "got int"),
        (lambda: b"\xff\xd8", "got bytes"),
        (_Tensor, "got torch.Tensor. For one of 0 to 1"),
        (_wide_pil, "more than 8 bits"),
        (_cut_pil, "PIL image cannot be decoded"),
        (lambda: "no_such.jpg", "No such image: no_such.jpg"),
        (lambda: Path("7"), "No such image"),
        (lambda: "rtsp://user:secret@192.0.2.1/", "model.stream(source)"),
    ],
)
def test_what_is_no_picture(source: Callable[[], Any], message: str, model: edgevit.Model) -> None:
    with pytest.raises(edgevit.InputError) as refused:
        model(source())
    assert message in str(refused.value)
    assert "secret" not in str(refused.value)


def test_bgr_of_a_file_is_refused(model: edgevit.Model, photo_folder: Path) -> None:
    with pytest.raises(edgevit.InputError, match="bgr=True is for arrays"):
        model(photo_folder, bgr=True)


def test_options_out_of_range(model: edgevit.Model, photos: list[Image]) -> None:
    for options, message in (({"top": 0}, "got 0"), ({"rotate": 45}, "90, 180 or 270")):
        with pytest.raises(edgevit.InputError, match=message):
            model(photos[0], **options)


class TestLoad:
    def test_a_path_as_text_or_as_a_path(self, lla_bundle: Path) -> None:
        for path in (lla_bundle, str(lla_bundle)):
            with edgevit.load(path, variant="float", threads=2) as model:
                assert (model.name, model.variant, model.bundle.path) == (
                    "lla_tiny",
                    "float",
                    lla_bundle,
                )

    @pytest.mark.parametrize(
        ("what", "message"),
        [
            ("lla_tny", "neither the name of a model nor a path. Did you mean lla_tiny"),
            ("", "neither the name of a model nor a path"),
            ("docs", "'docs' is there, but no bundle"),
            ("nowhere/x.edgevit", "is not a bundle"),
            (Path("lla_tiny"), "is not a bundle"),
            ("lla_tiny_32", "ships no weights of lla_tiny_32"),
            (7, "got int"),
            (None, "got NoneType"),
        ],
    )
    def test_neither_a_name_nor_a_bundle(
        self, what: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "docs").mkdir()
        with pytest.raises(edgevit.InputError) as refused:
            edgevit.load(what)
        assert message in str(refused.value)

    def test_a_variant_that_is_not_there(self) -> None:
        with pytest.raises(edgevit.BundleError, match="no variant 'int4'; it has float"):
            edgevit.load("lla_tiny", variant="int4")
        with pytest.raises(edgevit.InputError, match="threads must be 1 or more"):
            edgevit.load("lla_tiny", threads=0)

    def test_a_bundle_of_a_newer_version(self, tmp_path: Path) -> None:
        newer = float_copy(tmp_path / "newer.edgevit")
        manifest = json.loads((newer / MANIFEST_FILE).read_text())
        (newer / MANIFEST_FILE).write_text(json.dumps(manifest | {"schema": 99}))
        with pytest.raises(edgevit.BundleError, match=re.escape(upgrade_advice())):
            edgevit.load(newer)

    def test_shipped_weights_are_exported_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photos: list[Image]
    ) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        with ThreadPoolExecutor(2) as pool:
            models = list(pool.map(edgevit.load, ["lla_micro", "lla_micro"]))
        (cached,) = (tmp_path / "edgevit" / "models").iterdir()
        assert cached.name.startswith("lla_micro-")
        first = (cached / MANIFEST_FILE).stat().st_mtime_ns
        with edgevit.load("lla_micro") as again:
            assert again.bundle.path == cached
            assert again(photos[0]).superpixels is not None
            assert again(photos[0]).plot().shape == photos[0].shape
        assert (cached / MANIFEST_FILE).stat().st_mtime_ns == first
        (cached / "model.onnx").write_bytes(b"damaged")
        with edgevit.load("lla_micro") as mended:
            assert mended(photos[3]).label == models[0](photos[3]).label

    @pytest.mark.slow
    def test_weights_that_are_named_are_those_that_answer(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """They were once cached under the right name, with the default weights in them."""
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        with edgevit.load("lla_tiny:imagenette") as ten:
            assert len(ten.classes) == 10
            assert "church" in ten.classes
            manifest = ten.bundle.manifest
        assert manifest.model.weights == "shipped lla_tiny.imagenette.safetensors"
        with edgevit.load("lla_tiny:tiny_imagenet") as default:
            assert len(default.classes) == 200

    def test_no_export_extra_says_what_to_install(self, tmp_path: Path) -> None:
        code = f"""
import os, sys
os.environ["XDG_CACHE_HOME"] = {str(tmp_path)!r}
import edgevit.common.libraries as libraries
libraries.find_spec = lambda name: None
import edgevit
try:
    edgevit.load("vit_tiny")
except edgevit.MissingExtraError as error:
    print(error)
"""
        ended = python("-c", code)
        assert install_command("export") in ended.out, ended.err
        assert not (tmp_path / "edgevit" / "models").exists(), "nothing half-exported"


class TestLifetime:
    def test_a_closed_model_is_one_error(self, photos: list[Image]) -> None:
        model = edgevit.load("lla_tiny")
        result = model(photos[0])
        model.close()
        model.close()
        for use in (
            lambda: model(photos[0]),
            lambda: result.superpixels,
            lambda: next(model.stream("0")),
            lambda: model.variant,
        ):
            with pytest.raises(edgevit.InputError, match="was closed"):
                use()
        assert result.label, "what was answered stays"
        assert "closed" in repr(model)

    def test_a_session_is_opened_when_it_is_needed(self) -> None:
        code = """
import sys, edgevit
model = edgevit.load("lla_tiny")
print("onnxruntime" in sys.modules, model.classes[0])
"""
        assert python("-c", code).out.split() == ["False", "abacus"]

    def test_many_threads_get_the_answers_of_one(
        self, model: edgevit.Model, photos: list[Image]
    ) -> None:
        expected = model(photos)
        with edgevit.load("lla_tiny") as fresh, ThreadPoolExecutor(8) as pool:
            places = [i % 4 for i in range(64)]
            results = list(pool.map(lambda place: fresh(photos[place]), places))
            maps = list(pool.map(lambda result: result.superpixels, results))
        for place, result, found in zip(places, results, maps, strict=True):
            assert same(result, expected[place])
            np.testing.assert_array_equal(found, expected[place].superpixels)

    def test_closing_while_threads_use_it_is_one_error(self, photos: list[Image]) -> None:
        model = edgevit.load("lla_tiny")
        model(photos[0])
        ends: list[BaseException] = []
        started = threading.Barrier(5)

        def use() -> None:
            started.wait()
            try:
                while True:
                    model(photos[0])
            except BaseException as error:
                ends.append(error)

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        started.wait()
        model.close()
        for thread in threads:
            thread.join()
        assert [type(error) for error in ends] == [edgevit.InputError] * 4


class TestStream:
    def test_every_frame_of_a_file(self, model: edgevit.Model, clip: Path) -> None:
        results = list(model.stream(clip, every=10, top=2))
        assert [result.frame for result in results] == list(range(0, CLIP_FRAMES, 10))
        assert all(result.picture.shape == (240, 320, 3) for result in results)
        assert all(result.latency_ms > 0 for result in results)
        assert results[0].probabilities.sum() == pytest.approx(1, abs=1e-5)
        assert results[0].label == model(results[0].picture).label
        assert results[0].superpixels is not None
        assert results[0].plot().shape == (240, 320, 3)
        assert set(results[0].stages_ms) == set(results[0].to_dict()["ms"])

    def test_it_agrees_with_the_command_line(
        self, model: edgevit.Model, clip: Path, edgevit: Command, tmp_path: Path
    ) -> None:
        lines = tmp_path / "lines.jsonl"
        ended = edgevit("run", clip, "--every", 20, "--top", 2, "--rotate", 90, "--jsonl", lines)
        assert ended.code == 0, ended.err
        told = [json.loads(line) for line in lines.read_text().splitlines()]
        found = [r.to_dict() for r in model.stream(clip, every=20, top=2, rotate=90)]
        for line in told:
            del line["frames"]
        for content in (*told, *found):
            content["ms"] = sorted(content["ms"])
            del content["captured"]
        assert found == told

    def test_leaving_the_loop_closes_the_feed(self, model: edgevit.Model, clip: Path) -> None:
        stream = model.stream(str(clip))
        next(stream)
        assert any(thread.name == "capture" for thread in threading.enumerate())
        stream.close()
        assert not any(thread.name == "capture" for thread in threading.enumerate())

    def test_its_ends(self, model: edgevit.Model, clip: Path) -> None:
        assert len(list(model.stream(clip, frames=3))) == 3
        assert 1 <= len(list(model.stream(clip, fps=20, duration=0.5))) < 30

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"every": 0}, "'every' must be 1 or more"),
            ({"frames": 0}, "'frames' must be 1 or more"),
            ({"smooth": -1.0}, "'smooth' must be"),
            ({"duration": 0.0}, "'duration' must be above 0"),
            ({"size": (640, 480)}, "'size' is asked of a webcam"),
            ({"rotate": 1}, "90, 180 or 270"),
            ({"top": 0}, "got 0"),
        ],
    )
    def test_bad_options_are_refused_at_once(
        self, options: dict[str, Any], message: str, model: edgevit.Model, clip: Path
    ) -> None:
        with pytest.raises(edgevit.InputError, match=message):
            model.stream(clip, **options)

    def test_nothing_that_can_be_read(self, model: edgevit.Model, tmp_path: Path) -> None:
        (tmp_path / "bad.png").write_bytes(b"no")
        with pytest.raises(edgevit.InputError, match="None of the 1 frames"):
            list(model.stream(tmp_path / "bad.png"))
        with pytest.raises(edgevit.InputError, match="No such image or video"):
            model.stream("no_such.mp4")


def test_the_command_line_gives_what_the_library_gives(
    model: edgevit.Model, photo_folder: Path, edgevit: Command
) -> None:
    told = json.loads(_run(edgevit, photo_folder, "--top", 4).out)["results"]
    found = [result.to_dict() for result in model(photo_folder, top=4)]
    for content in (*told, *found):
        assert content.pop("latency_ms") > 0
    assert told == found


def _run(edgevit: Command, *arguments: object) -> Finished:
    ended = edgevit("run", *arguments, "--json")
    assert ended.code == 0, ended.err
    return ended


def test_public_names_are_listed_and_there() -> None:
    assert set(edgevit.__all__) <= set(dir(edgevit))
    for name in edgevit.__all__:
        assert getattr(edgevit, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        edgevit.laod  # noqa: B018
    assert "edgevit.workflows.predict.load_model" in sys.modules
