"""Sets of pictures: every row once, whatever happens to files, disks, workers and machines."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import weakref
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import edgevit as library
from edgevit.bundle.bundle import Bundle
from edgevit.common.errors import CheckFailedError, InputError
from edgevit.common.installation.install_command import install_command
from edgevit.workflows.evaluate import evaluate
from edgevit.workflows.sets import engines, picture_items, ray_engine
from edgevit.workflows.sets.answerer import Answerer, AnswerRequest, VersionMismatchError
from edgevit.workflows.sets.engines import EngineOptions
from edgevit.workflows.sets.picture_items import PictureItem, items_of
from edgevit.workflows.sets.predict_set import predict_set
from edgevit.workflows.sets.ray_engine import ClusterError
from edgevit.workflows.sets.set_listing import SetListing, opened
from edgevit.zoo import PREBUILT_BUNDLE
from support import ROOT, environment
from support.processes import full_disk

RAY = EngineOptions("ray", workers=2)


@pytest.fixture
def bundle() -> Bundle:
    return Bundle.open(PREBUILT_BUNDLE)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


def edgevit(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgevit", *map(str, arguments)]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, check=False, timeout=300
    )


def test_a_loop_answers_folders_globs_archives_and_parquet(
    bundle: Bundle, class_folder: Path, tmp_path: Path
) -> None:
    files = sorted(class_folder.rglob("*.png"))
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        for file in files:
            archive.write(file, file.name if file.parent.name == "red" else f"b/{file.name}")
    pq.write_table(pa.table({"path": [str(file) for file in files]}), tmp_path / "paths.parquet")
    encoded = pa.table({"bytes": [file.read_bytes() for file in files]})
    pq.write_table(encoded, tmp_path / "bytes.parquet", row_group_size=7)
    sets = {
        "folder": [str(class_folder)],
        "glob": [f"{class_folder}/blue/*.png", f"{class_folder}/red/*.png"],
        "paths": [str(tmp_path / "paths.parquet")],
        "bytes": [str(tmp_path / "bytes.parquet")],
    }
    answers = {}
    for name, sources in sets.items():
        found = predict_set(bundle, sources, tmp_path / f"{name}.out.parquet", top=3)
        assert (found.images, found.failed) == (20, 0)
        answers[name] = [row["top_probabilities"] for row in rows_of(found.output)]
    assert all(each == answers["folder"] for each in answers.values())
    zipped = predict_set(bundle, [str(tmp_path / "some.zip")], tmp_path / "zip.out.parquet", top=3)
    assert sorted(r["top_probabilities"] for r in rows_of(zipped.output)) == sorted(
        answers["folder"]
    )
    with library.load(bundle.path) as model:
        alone = model(files[0], top=3)
    calibrated = [answer.probability for answer in alone.top(3)]
    assert any(each == pytest.approx(calibrated, abs=1e-5) for each in answers["folder"])
    row = rows_of(zipped.output)[0]
    assert row["label"] == row["top_labels"][0]
    assert row["image"].startswith(f"{tmp_path}/some.zip/")


def test_the_command_names_a_vanished_picture_and_exits_with_1(
    class_folder: Path, tmp_path: Path
) -> None:
    kept = class_folder / "red" / "0.png"
    listed = tmp_path / "set.parquet"
    pq.write_table(pa.table({"path": [str(kept), str(tmp_path / "gone.png")]}), listed)
    output = tmp_path / "answers.parquet"
    ended = edgevit("predict", listed, "--output", output, "--json")
    assert ended.returncode == 1, ended.stderr
    said = json.loads(ended.stdout)
    assert (said["images"], said["failed"]) == (2, 1)
    assert "gone.png" in said["errors"][0]
    rows = rows_of(output)
    assert rows[0]["label"]
    assert rows[0]["error"] is None
    assert rows[1]["label"] is None
    assert rows[1]["error"] == f"No such image: {tmp_path / 'gone.png'}."
    again = edgevit("predict", listed, "--output", output)
    assert (again.returncode, "--force" in again.stderr) == (2, True)


def packed(target: Path, files: list[Path]) -> Path:
    """A tar, zip or parquet file of them, by its suffix, under names that do not depend on them."""
    if target.suffix == ".parquet":
        pq.write_table(pa.table({"bytes": [file.read_bytes() for file in files]}), target)
    elif target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as archive:
            for i, file in enumerate(files):
                archive.write(file, f"{i}.png")
    else:
        with tarfile.open(target, "w") as tar:
            for i, file in enumerate(files):
                tar.add(file, f"{i}.png")
    return target


@pytest.mark.parametrize("suffix", [".tar", ".zip", ".parquet"])
def test_a_file_that_changes_under_way_gives_errors_and_no_wrong_answers(
    suffix: str, class_folder: Path, tmp_path: Path
) -> None:
    """Of a tar, pictures of the new archive were answered under names of the old one."""
    files = sorted(class_folder.rglob("*.png"))
    target = packed(tmp_path / f"set{suffix}", files)
    items = list(items_of([str(target)]))
    assert all(item.picture().pixels.size for item in items)
    picture_items._row_group.cache_clear()  # a worker that has not begun
    packed(target, files[10:] * 2)
    for item in items:
        with pytest.raises(InputError, match=r"changed since|its CRC is another|ends before"):
            item.picture()
    target.unlink()
    with pytest.raises(InputError, match="No such"):
        items[0].picture()


def test_a_long_list_of_names_is_small_and_whole() -> None:
    names = [f"/data/of/somebody/photos/{i % 97}/holiday_{i:07}.jpg" for i in range(20_000)]
    listing = SetListing.of(PictureItem(name, name) for name in names)
    assert len(listing) == 20_000
    assert sum(map(len, listing.parts)) < 20_000 * 20, "bytes a picture"
    places, items = zip(*map(opened, listing.parts), strict=True)
    assert [place for each in places for place in each] == list(range(20_000))
    assert [item.file for each in items for item in each] == names


def test_photographs_are_not_held_at_full_size(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 of them were: 2.3 GB of photographs of 12 megapixels."""
    held: set[int] = set()
    most = 0

    def picture(item: PictureItem) -> SimpleNamespace:
        nonlocal most
        pixels = np.zeros((300, 400, 3), np.uint8)
        held.add(id(pixels))
        weakref.finalize(pixels, held.discard, id(pixels))
        most = max(most, len(held))
        return SimpleNamespace(pixels=pixels)

    monkeypatch.setattr(PictureItem, "picture", picture)
    answerer = Answerer(AnswerRequest(bundle.path, "float", 1, 1))
    rows = answerer.rows(range(20), [PictureItem(f"{i}", f"{i}") for i in range(20)])
    answerer.close()
    assert [row["place"] for row in rows] == list(range(20))
    assert most <= 2


def test_a_full_disk_leaves_no_output(bundle: Bundle, class_folder: Path, tmp_path: Path) -> None:
    bundle.variant()
    with full_disk(256), pytest.raises(InputError, match=r"Cannot write .*answers\.parquet"):
        predict_set(bundle, [str(class_folder)], tmp_path / "answers.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_worker_whose_disk_is_full_answers_all_the_same(
    bundle: Bundle, class_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes nothing that answers depend on; the command alone writes them."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    request = AnswerRequest(bundle.path, "float", 1, 1)
    (tmp_path / "full").write_bytes(b"x")
    items = list(items_of([str(class_folder)]))
    with full_disk(0):
        with pytest.raises(OSError, match="File too large"):
            (tmp_path / "full").write_bytes(b"xx")
        answerer = Answerer(request)
        rows = answerer.rows(range(20), items)
        answerer.close()
    assert [row["error"] for row in rows] == [None] * 20


def test_ray_that_does_not_start_is_one_message(
    bundle: Bundle, class_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine Ray gives up after 30 s, by an error of no kind of its own."""
    import ray

    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nMore.")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(ClusterError, match=r"Ray did not start on this machine: .*engine 'local'"):
        predict_set(bundle, [str(class_folder)], tmp_path / "a.parquet", engine=RAY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("places", "reason"), [([0, 0, 1], "rows twice"), ([0, 2], "no rows for 1 of 3")]
)
def test_lost_and_doubled_rows_are_noticed(places: list[int], reason: str) -> None:
    def rows() -> Iterator[list[dict[str, int]]]:
        for place in places:
            yield [{"place": place}]

    with pytest.raises(CheckFailedError, match=reason):
        list(engines._each_once(rows(), 3))


def test_sets_and_options_that_cannot_be_used_are_refused(
    bundle: Bundle, class_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "answers.parquet"
    pq.write_table(pa.table({"x": [1]}), tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    for source, reason in (
        ("other.parquet", "expected 'path'"),
        ("text.parquet", "is damaged or no parquet"),
        ("nothing.parquet", "No such parquet file"),
    ):
        with pytest.raises(InputError, match=reason):
            predict_set(bundle, [str(tmp_path / source)], output)
    with pytest.raises(InputError, match=r"must end in \.parquet"):
        predict_set(bundle, [str(class_folder)], tmp_path / "answers.csv")
    with pytest.raises(InputError, match="add 'engine' ray"):
        EngineOptions.of("local", 2, None)
    with pytest.raises(InputError, match="local or ray; got 'spark'"):
        EngineOptions.of("spark", None, None)


def test_a_cluster_out_of_reach_is_named(
    bundle: Bundle, class_folder: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    options = EngineOptions("ray", address=address)
    with pytest.raises(ClusterError, match=f"No Ray cluster answers at {address}: .*ray start"):
        predict_set(bundle, [str(class_folder)], tmp_path / "a.parquet", engine=options)
    with pytest.raises(InputError, match="'address' is HOST:PORT"):
        odd = EngineOptions("ray", address="ray://x:1")
        predict_set(bundle, [str(class_folder)], tmp_path / "a.parquet", engine=odd)
    assert list(tmp_path.iterdir()) == []


def test_without_ray_the_extra_is_named(
    bundle: Bundle, class_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr("edgevit.common.libraries.find_spec", lambda name: name != "ray" or None)
    with pytest.raises(InputError, match=re.escape(install_command("ray"))):
        predict_set(bundle, [str(class_folder)], tmp_path / "a.parquet", engine=RAY)


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One cluster for the tests of a process: to start one takes longer than they do."""
    with ray_engine._cluster(None, 2):
        yield


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_ray_gives_what_the_loop_gives(bundle: Bundle, class_folder: Path, tmp_path: Path) -> None:
    sources = [str(class_folder)]
    loop = predict_set(bundle, sources, tmp_path / "loop.parquet")
    ray_found = predict_set(bundle, sources, tmp_path / "ray.parquet", engine=RAY)
    assert ray_found.failed == 0
    assert rows_of(ray_found.output) == rows_of(loop.output)
    other = AnswerRequest(bundle.path, "float", 1, 3, version="0.0.1")
    with pytest.raises(VersionMismatchError, match=r"has edgevit .*, and 0\.0\.1 asks"):
        list(engines.answered(SetListing.of(items_of(sources)), other, RAY, on_gpu=False))


@pytest.mark.slow
@pytest.mark.usefixtures("ray_here")
def test_an_evaluation_by_ray_is_that_of_the_loop(bundle: Bundle, tmp_path: Path) -> None:
    images = bundle.reference().images
    labels = bundle.manifest.classes[:2]
    from edgevit.images import image_io

    for i, picture in enumerate(images):
        target = tmp_path / "set" / labels[i % 2] / f"{i}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        image_io.write(target, picture)
    (tmp_path / "set" / labels[0] / "damaged.png").write_bytes(b"no picture")
    loop = evaluate(bundle, tmp_path / "set", skip_corrupt=True)
    found = evaluate(bundle, tmp_path / "set", skip_corrupt=True, engine=RAY)
    assert found.picture_set == loop.picture_set
    assert found.accuracy.to_json() == loop.accuracy.to_json()


CLUSTER = """
import os, sys, time
from pathlib import Path
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.remove_node(nodes[0], allow_graceful=False)
print("killed", flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_killed_machine_loses_and_doubles_nothing(
    bundle: Bundle, class_folder: Path, tmp_path: Path
) -> None:
    """A cluster of three nodes, each with processes of its own, of which one is killed."""
    folder = tmp_path / "set"
    for i in range(60):
        shutil.copytree(class_folder, folder / str(i))
    cluster = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
        cwd=ROOT,
    )
    assert cluster.stdin is not None
    assert cluster.stdout is not None
    try:
        address = cluster.stdout.readline().strip()
        assert address
        items = SetListing.of(items_of([str(folder)]))
        request = AnswerRequest(bundle.path, "float", 1, 1)
        options = EngineOptions("ray", workers=2, address=address)
        places: list[int] = []
        for number, rows in enumerate(engines.answered(items, request, options, on_gpu=False)):
            if number == 1:
                cluster.stdin.write("kill\n")
                cluster.stdin.flush()
                assert cluster.stdout.readline().strip() == "killed"
            assert all(row["error"] is None for row in rows)
            places += [row["place"] for row in rows]
        assert places == list(range(1200))
    finally:
        if cluster.poll() is None:
            cluster.communicate("end\n", timeout=60)
