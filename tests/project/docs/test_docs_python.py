"""Every Python block of docs/python.md runs, one after the other, in one namespace."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from edgevit.images import image_io
from edgevit.images.image_io import Image
from support import ROOT

pytestmark = pytest.mark.early

PAGE = ROOT / "docs" / "python.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


@pytest.fixture
def place(
    tmp_path: Path,
    photos: list[Image],
    photo_folder: Path,
    clip: Path,
    answered: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A working folder with the pictures that the page speaks of."""
    image_io.write(tmp_path / "photo.jpg", photos[2])
    shutil.copytree(photo_folder, tmp_path / "photos")
    shutil.copy(clip, tmp_path / "clip.mp4")
    shutil.copytree(answered, tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_blocks_of_the_page_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, Any] = {}
    for number, block in enumerate(BLOCKS):
        exec(compile(block, f"{PAGE.name}, block {number}", "exec"), namespace)
    said = capsys.readouterr().out
    assert "espresso" in said
    assert "channels first" in said
    assert (place / "annotated.png").is_file()
    variants = namespace["mine"].bundle.manifest.variants
    assert any(variant.precision == "int8" for variant in variants.values())
    assert any(variant.build for variant in variants.values()), "what was compiled"
    for name in ("quantized", "compiled", "measured", "trained", "result"):
        assert namespace[name].to_dict(), name
    namespace["model"].close()
    namespace["mine"].close()


def test_every_public_name_is_documented() -> None:
    import edgevit

    text = PAGE.read_text()
    assert [name for name in edgevit.__all__ if name.strip("_") not in text] == []
