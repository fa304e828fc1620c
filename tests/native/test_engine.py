"""libedgevit: the same answers as the interpreter's, and the same bits on every instruction set."""

from __future__ import annotations

import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgevit.common.errors import DamagedError, InputError
from edgevit.images import image_io
from edgevit.images.image_io import Image
from edgevit.inference.runner import profiling
from edgevit.zoo.interface.preprocess import Preprocess
from edgevit.zoo.registry import find
from edgevit_export.native.compile_native import compile_native
from edgevit_runtimes.backends.native import native_library
from edgevit_runtimes.backends.native.native_library import NativeModel, instruction_sets
from edgevit_runtimes.backends.native.native_runner import NativeRunner
from support.models.exported_models import exported_model
from support.models.native_interpreter import NativeModel as Interpreter
from support.models.quantized_models import quantized_natively
from support.needs import need_tool

FORMS = ("float", "int8")
MODELS = ("lla_micro", "mobilenet_v3_small", "lavit_tiny_32", "vit_tiny_32", "sppp_tiny")
# Each is an export of its own.
NAMES = [*MODELS[:3], *(pytest.param(name, marks=pytest.mark.slow) for name in MODELS[3:])]


@pytest.fixture(autouse=True)
def engine() -> None:
    need_tool("native-engine")


@pytest.fixture(scope="module")
def two_photos(photos: list[Image]) -> dict[str, Image]:
    sizes = {name: Preprocess(find(name).spec.image_px) for name in MODELS}
    return {name: image_io.batch(photos[:2], size) for name, size in sizes.items()}


@pytest.fixture(scope="module")
def plans(two_photos: dict[str, Image]) -> dict[tuple[str, str], bytes]:
    """The file of every model, in float and in eight bits, made when it is asked for."""

    class Plans(dict[tuple[str, str], bytes]):
        def __missing__(self, key: tuple[str, str]) -> bytes:
            name, form = key
            model = exported_model(name)
            if form == "int8":
                model = quantized_natively(model, two_photos[name])
            self[key] = compile_native(model)
            return self[key]

    return Plans()


def usable() -> list[str]:
    return [name for name, here in instruction_sets().items() if here]


def answer(
    plan: bytes | Path, picture: Image, isa: str | None = None, threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """(logits, superpixel map or an empty one) of one picture."""
    model = NativeModel(plan, threads, isa)
    logits = np.empty(model.info.classes, np.float32)
    found = np.empty((model.info.map_rows, model.info.map_columns), np.int32)
    where = found.ctypes.data if found.size else 0
    model.run(np.ascontiguousarray(picture).ctypes.data, logits.ctypes.data, where)
    model.close()
    return logits, found


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_it_answers_as_the_interpreter(
    name: str, form: str, plans: dict[tuple[str, str], bytes], two_photos: dict[str, Image]
) -> None:
    picture = two_photos[name][0]
    expected, expected_map = Interpreter(plans[name, form]).run(picture)
    logits, superpixels = answer(plans[name, form], picture)
    # Sums of floats in another order; in eight bits one of them may round the other way.
    tolerance = 1e-4 if form == "float" else 0.03
    np.testing.assert_allclose(logits, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    assert logits.argmax() == expected.argmax()
    if expected_map is not None:
        np.testing.assert_array_equal(superpixels, expected_map)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_every_instruction_set_and_number_of_threads_gives_the_same_bits(
    name: str, form: str, plans: dict[tuple[str, str], bytes], two_photos: dict[str, Image]
) -> None:
    picture = two_photos[name][1]
    logits, superpixels = answer(plans[name, form], picture, "portable")
    for isa in usable():
        for threads in (1, 2, 3):
            others, other_map = answer(plans[name, form], picture, isa, threads)
            assert others.tobytes() == logits.tobytes(), (isa, threads)
            np.testing.assert_array_equal(other_map, superpixels)


def test_contexts_answer_at_the_same_time(
    plans: dict[tuple[str, str], bytes], two_photos: dict[str, Image]
) -> None:
    plan, pictures = plans["lla_micro", "int8"], two_photos["lla_micro"]
    expected = [answer(plan, picture)[0] for picture in pictures]
    wrong = []

    def ask(place: int) -> None:
        runner = NativeRunner(plan)
        for _ in range(50):
            logits = runner.infer({"image": pictures[place : place + 1]})["logits"][0]
            if logits.tobytes() != expected[place].tobytes():
                wrong.append(place)
        runner.close()

    threads = [threading.Thread(target=ask, args=(place % 2,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_runner_takes_any_batch_and_says_what_took_how_long(
    plans: dict[tuple[str, str], bytes], two_photos: dict[str, Image]
) -> None:
    pictures = two_photos["lla_micro"]
    with profiling(), NativeRunner(plans["lla_micro", "int8"]) as runner:
        both = runner.infer({"image": pictures})["logits"]
        for picture, logits in zip(pictures, both, strict=True):
            alone = runner.infer({"image": picture[None]})["logits"][0]
            assert alone.tobytes() == logits.tobytes()
        kinds = {layer.op for layer in runner.layer_times()}
    assert {"conv", "slic", "pool", "attention", "layer_norm"} <= kinds


@pytest.mark.parametrize("threads", [0, 17])
def test_a_wrong_number_of_threads_is_refused(
    threads: int, plans: dict[tuple[str, str], bytes]
) -> None:
    with pytest.raises(InputError, match=f"threads are 1 to 16, not {threads}"):
        NativeRunner(plans["lla_micro", "int8"], threads)


def test_an_instruction_set_that_is_not_here_is_refused(
    plans: dict[tuple[str, str], bytes],
) -> None:
    with pytest.raises(InputError, match="no instruction set called mmx"):
        NativeModel(plans["lla_micro", "int8"], isa="mmx")


def test_without_the_library_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(native_library.LIBRARY_VARIABLE, str(tmp_path / "none.so"))
    native_library.library.cache_clear()
    try:
        with pytest.raises(InputError, match=r"was not built.*pip.* install ziglang"):
            NativeModel(b"")
    finally:
        monkeypatch.undo()
        native_library.library.cache_clear()


# Files that are not what they should be -----------------------------------------------------------


def with_checksum(content: bytes) -> bytes:
    """A file whose length and checksum are right, whatever else is wrong."""
    whole = bytearray(content)
    struct.pack_into("<Q", whole, 16, len(whole))
    struct.pack_into("<I", whole, 24, zlib.crc32(bytes(whole[64:])))
    return bytes(whole)


@pytest.fixture(scope="module")
def small(plans: dict[tuple[str, str], bytes]) -> bytes:
    return plans["lla_micro", "int8"]


def damaged(content: bytes) -> Iterator[tuple[str, bytes, str]]:
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    newer = bytearray(content)
    struct.pack_into("<I", newer, 8, 2)
    foreign = bytearray(content)
    struct.pack_into(">I", foreign, 12, 0x01020304)
    far = bytearray(content)
    struct.pack_into("<I", far, 44, 0x7FFFFFFC)
    weights = bytearray(content)
    struct.pack_into("<I", weights, 64 + 8, 0x7FFFFFC0)  # where the first operation writes
    yield "empty", b"", "shorter than a header"
    yield "header only", content[:64], "has 64 bytes, its header says"
    yield "cut", content[:-1], "its header says"
    yield "flipped", bytes(flipped), "its checksum is another one"
    yield "newer", bytes(newer), "has version 2, this library reads 1"
    yield "foreign", bytes(foreign), "another byte order"
    yield "no model", b"ONNX" * 100, "does not begin with EDGEVIT"
    yield "logits", with_checksum(bytes(far)), "logits lie outside"
    yield "operation", with_checksum(bytes(weights)), "outside of its memory"


def test_damaged_files_are_refused_with_the_reason(small: bytes, tmp_path: Path) -> None:
    for name, content, reason in damaged(small):
        with pytest.raises(DamagedError, match=reason):
            NativeModel(content)
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises((DamagedError, InputError)):  # an empty one cannot be mapped
            NativeModel(file)


FUZZ = """
import struct, sys, zlib
import numpy as np
from edgevit.common.errors import EdgevitError
from edgevit_runtimes.backends.native.native_library import NativeModel
content = open(sys.argv[1], "rb").read()
operations = struct.unpack_from("<I", content, 28)[0]
rng = np.random.default_rng(int(sys.argv[2]))
values = [0, 1, 3, 4, 64, 255, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
picture = np.zeros((64, 64, 3), np.uint8)
ran = refused = 0
for _ in range(int(sys.argv[3])):
    changed = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        place = 28 + 4 * int(rng.integers(0, 9 + 32 * operations))
        old = struct.unpack_from("<I", changed, place)[0]
        new = rng.choice([int(rng.choice(values)), (old + int(rng.integers(-64, 65))) % 2**32,
                          (old * 2) % 2**32])
        struct.pack_into("<I", changed, place, int(new))
    struct.pack_into("<I", changed, 24, zlib.crc32(bytes(changed[64:])))
    try:
        model = NativeModel(bytes(changed))
    except EdgevitError:
        refused += 1
        continue
    logits = np.empty(model.info.classes, np.float32)
    if (model.info.height, model.info.width) == (64, 64):
        model.run(picture.ctypes.data, logits.ctypes.data)
    model.close()
    ran += 1
print(ran, refused)
"""


def test_changed_numbers_are_refused_or_harmless(small: bytes, tmp_path: Path) -> None:
    """In another process, which would end with a signal; sanitizers look closer, see docs."""
    file = tmp_path / "model.native"
    file.write_bytes(small)
    command = [sys.executable, "-c", FUZZ, str(file), "0", "400"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert finished.returncode == 0, finished.stderr[-2000:]
    ran, refused = map(int, finished.stdout.split())
    assert ran > 20
    assert refused > 100
