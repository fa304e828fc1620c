"""What the tests of the examples in C share: building one, pictures for it, and what it refuses."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edgevit.images.image_io import Image


def build_example(source: Path, include: Path | str, library: Path | str) -> Path:
    """The program, beside the library that it loads from its own folder; warnings are errors."""
    target = Path(library).with_name("classify")
    strict = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{include}"]
    command = ["cc", *strict, str(source), str(library), "-Wl,-rpath,$ORIGIN", "-o", str(target)]
    subprocess.run(command, check=True)
    return target


def ppm(picture: Image, file: Path) -> Path:
    """Writes a picture, uint8 [H, W, 3], as a binary PPM."""
    height, width, _ = picture.shape
    file.write_bytes(b"P6\n%d %d\n255\n" % (width, height) + picture.tobytes())
    return file


def refusal(program: Path, model: Path, picture: Path) -> str:
    """What the program says as it ends with exit code 2."""
    finished = subprocess.run(
        [program, model, picture], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 2
    return finished.stderr
