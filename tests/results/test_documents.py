"""The documents that edgevit writes fit their types, and their JSON Schemas are fresh."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgevit.bundle.manifest import SCHEMA, SCHEMA_MINOR, Manifest
from edgevit.common.schema import to_plain, typed
from edgevit.results.bench_result import BenchResult
from edgevit.results.documents.json_schema import json_schemas, write_schemas
from edgevit.results.documents.saved_evaluation import SavedEvaluation, evaluation_of
from edgevit.zoo import PREBUILT_BUNDLE
from support import Command
from support.made_results import made_result
from support.processes import ROOT
from support.zoo import float_copy


def test_the_schemas_in_the_docs_are_fresh(tmp_path: Path) -> None:
    there = {file.name: file.read_text() for file in (ROOT / "docs" / "schemas").glob("*.json")}
    assert there == json_schemas(), "renew them with: make schemas"
    write_schemas(tmp_path / "new")
    assert {file.name: file.read_text() for file in (tmp_path / "new").iterdir()} == there


@pytest.mark.parametrize("name", ["bundle-manifest", "bench-result", "evaluation"])
def test_a_schema_says_of_every_field_what_it_is(name: str) -> None:
    schema = json.loads(json_schemas()[f"{name}.json"])
    kind = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    types = {"bundle-manifest": Manifest, "bench-result": BenchResult}
    assert set(kind["properties"]) == set(types.get(name, SavedEvaluation).__annotations__)
    assert kind["required"]


def test_every_field_of_a_result_has_a_place() -> None:
    content = json.loads(json.dumps(made_result().to_dict()))
    assert typed(BenchResult, content) == made_result()


def test_every_field_of_an_evaluation_has_a_place(answered: Path, edgevit: Command) -> None:
    """``eval`` and the type that reads it say the same."""
    ended = edgevit("eval", "--data", answered / "val", "--json")
    assert ended.code == 0, ended.err
    content = json.loads(ended.out)
    found = typed(SavedEvaluation, content)
    assert json.loads(json.dumps(to_plain(found)))["classes"] == content["classes"]
    assert evaluation_of(content, "eval.json") == found


def test_the_shipped_manifest_is_of_its_type() -> None:
    text = (PREBUILT_BUNDLE / "manifest.json").read_text()
    manifest = Manifest.from_json(text, PREBUILT_BUNDLE)
    again = Manifest.from_json(manifest.to_json(), PREBUILT_BUNDLE)
    assert again == manifest
    assert again.model.name == "lla_tiny"


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ({"of_tomorrow": 1}, False),
        ({"schema": 3, "of_tomorrow": 1}, False),
        ({"schema": SCHEMA, "schema_minor": SCHEMA_MINOR + 1, "of_tomorrow": {"a": [1]}}, True),
        ({"schema": 4}, False),
        ({"schema": 3, "schema_minor": True}, False),
    ],
)
def test_unknown_fields_are_those_of_newer_minor_versions(
    change: dict[str, object], read: bool, tmp_path: Path, edgevit: Command
) -> None:

    path = float_copy(tmp_path / "mine.edgevit")
    content = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**content, **change}))
    ended = edgevit("inspect", path)
    assert ended.code == (0 if read else 2)
    if not read:
        assert ended.one_message
