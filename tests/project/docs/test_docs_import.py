"""Every command and every Python block of docs/import.md runs, one after the other."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.images import image_io
from edgevit.images.image_io import Image
from support import ROOT, Command
from support.onnx_classifiers import save, small_classifier

PAGE = (ROOT / "docs" / "import.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def place(tmp_path: Path, photos: list[Image], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the files that the page speaks of."""
    names = "abcde"
    save(small_classifier(), tmp_path)
    save(small_classifier(shape=("N", 3, "h", "w")), tmp_path, "any_size.onnx")
    (tmp_path / "names.txt").write_text("\n".join(names))
    image_io.write(tmp_path / "photo.jpg", photos[0])
    for part, photo in (("train", photos[1]), ("val", photos[2])):
        for number in range(20):
            folder = tmp_path / "images" / part / names[number % 5]
            folder.mkdir(parents=True, exist_ok=True)
            image_io.write(folder / f"{number}.png", np.roll(photo, 9 * number, axis=1))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_work_one_after_the_other(place: Path, edgevit: Command) -> None:
    assert len(COMMANDS) >= 8
    for command in COMMANDS:
        ended = edgevit(*shlex.split(command)[1:])
        assert ended.code == 0, f"{command}\n{ended.err}"
    manifest = Bundle.open(place / "caffe.edgevit").manifest
    assert manifest.preprocess.mean == pytest.approx(np.array([123, 117, 104]) / 255)


def test_the_blocks_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"import.md, block {number}", "exec"), namespace)
    assert Bundle.open(place / "mine.edgevit").manifest.preprocess.resize == "crop"
