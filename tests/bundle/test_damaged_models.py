"""A model file with the right hash that no library can read: one clean line from every command."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgevit.bundle.bundle import Bundle
from edgevit.bundle.edit import edit
from edgevit.zoo import PREBUILT_BUNDLE
from support import Command
from support.zoo import float_copy

CONTENTS = {
    "empty": b"",
    "text": b"this is no model",
    "half": (PREBUILT_BUNDLE / "model.onnx").read_bytes()[:100_000],
    "not text": b"\x08\x08\x12\x04\xff\xfe\xfd\xfc",
}


@pytest.fixture(params=CONTENTS)
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = float_copy(tmp_path / "mine.edgevit")
    with edit(Bundle.open(path)) as draft:
        draft.write("model.onnx", lambda file: file.write_bytes(CONTENTS[request.param]))
    return path


def test_no_command_ends_in_a_traceback(
    bundle: Path, photo_folder: Path, class_folder: Path, edgevit: Command
) -> None:
    for command in (
        ("run", bundle, photo_folder / "photo0.png"),
        ("inspect", bundle, "--layers"),
        ("verify", bundle),
        ("profile", bundle),
        ("compile", bundle, "--target", "onnxruntime"),
        ("eval", bundle, "--data", class_folder),
    ):
        ended = edgevit(*command)
        assert "Traceback" not in ended.err, command
        if command[0] not in ("inspect", "profile"):  # they say of each variant what is wrong
            assert ended.code in (1, 2), command
            assert "error: " in ended.err.splitlines()[-1], command
