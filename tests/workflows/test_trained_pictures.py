"""From training to evaluation: which pictures were held out goes along, by content."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgevit.common.errors import InputError
from edgevit.images.training_split import SPLIT_FILE, read_split
from support import Command

pytestmark = pytest.mark.early


@pytest.fixture(scope="module")
def trained(class_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a small model, and the bundle of it."""
    from edgevit.workflows.export import export
    from edgevit.workflows.train import train

    root = tmp_path_factory.mktemp("trained")
    done = train(
        "lla_tiny_32", data=class_folder, output=root / "run", epochs=1, batch=8, device="cpu"
    )
    export("lla_tiny_32", root / "mine.edgevit", checkpoint=done.weights, parity_count=2)
    return root


def test_the_split_lies_beside_the_weights(trained: Path, class_folder: Path) -> None:
    split = read_split(trained / "run" / SPLIT_FILE)
    everything = [file for file in class_folder.rglob("*") if file.is_file()]
    assert split.held_out
    assert len(split.held_out) + len(split.trained_on) == len(everything)


def test_exactly_the_held_out_part_is_evaluated(
    trained: Path, class_folder: Path, tmp_path: Path, edgevit: Command
) -> None:
    """In a copy of the folder under another name, too."""
    split = read_split(trained / "run" / SPLIT_FILE)
    copy = Path(shutil.copytree(class_folder, tmp_path / "copy"))
    options = ("--data", copy, "--json")
    bundle = trained / "mine.edgevit"
    found = edgevit("eval", bundle, *options, "--split", "held-out")
    assert found.code == 0, found.err
    assert json.loads(found.out)["images"] == len(split.held_out)
    assert "trained on" not in found.err
    everything = edgevit("eval", bundle, *options)
    assert f"trained on {len(split.trained_on)} of the" in everything.err


def test_the_split_stays_when_a_bundle_is_edited(
    trained: Path, tmp_path: Path, edgevit: Command
) -> None:
    path = Path(shutil.copytree(trained / "mine.edgevit", tmp_path / "edited.edgevit"))
    ended = edgevit("compile", path, "--target", "onnxruntime")
    assert ended.code == 0, ended.err
    assert read_split(path / SPLIT_FILE) == read_split(trained / "run" / SPLIT_FILE)


def test_bad_input(trained: Path, class_folder: Path, tmp_path: Path, edgevit: Command) -> None:
    unknown = edgevit("eval", "--data", class_folder, "--split", "held-out")
    assert "does not say which images were held out" in unknown.one_message
    odd = edgevit("eval", trained / "mine.edgevit", "--data", class_folder, "--split", "half")
    assert "--split is all or held-out" in odd.one_message
    fewer = Path(shutil.copytree(class_folder, tmp_path / "fewer"))
    held = next(iter(read_split(trained / "run" / SPLIT_FILE).held_out))
    (fewer / held).unlink()
    missing = edgevit("eval", trained / "mine.edgevit", "--data", fewer, "--split", "held-out")
    assert f"such as {held}" in missing.one_message
    damaged = tmp_path / SPLIT_FILE
    damaged.write_text('{"held_out": 3}')
    with pytest.raises(InputError, match="is damaged"):
        read_split(damaged)


@pytest.mark.slow
def test_weights_of_another_run_do_not_take_the_split(trained: Path, tmp_path: Path) -> None:
    from edgevit.workflows.export import export

    run = Path(shutil.copytree(trained / "run", tmp_path / "run"))
    split = json.loads((run / SPLIT_FILE).read_text())
    (run / SPLIT_FILE).write_text(json.dumps({**split, "weights_sha256": "0" * 64}))
    weights = run / "lla_tiny_32.safetensors"
    bundle = export("lla_tiny_32", tmp_path / "b.edgevit", checkpoint=weights, parity_count=2)
    assert SPLIT_FILE not in bundle.bundle.manifest.files
