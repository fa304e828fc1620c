"""docs/jetson.md: its commands are parsed by test_readme.py; here, what they name."""

from __future__ import annotations

import re
from itertools import product

from edgevit.bundle.manifest import FLOAT_VARIANT
from edgevit.workflows.targets.compile_request import CompileRequest, Precision, Target
from edgevit_export.quantize.quantize_pipeline import HALF_VARIANT
from edgevit_runtimes.deployment.deployment_slot import DEFAULT_SLOT, Slot
from edgevit_runtimes.remote.device_address import DEFAULT_FOLDER
from edgevit_runtimes.service.unit_file import unit_name
from support import ROOT

PAGE = (ROOT / "docs" / "jetson.md").read_text()


def test_every_variant_that_a_guide_names_can_be_made() -> None:
    compiled = {CompileRequest(t, p).name for t, p in product(Target, Precision)}
    named = {
        name
        for guide in (ROOT / "docs").glob("*.md")
        for name in re.findall(r"--variant ([\w-]+)", guide.read_text())
    }
    assert "tensorrt-fp16" in named
    others = named - compiled - {FLOAT_VARIANT, HALF_VARIANT}
    assert {name for name in others if not re.fullmatch(r"onnx-int8-\w+(-arm)?", name)} == set()


def test_the_places_that_the_page_names_are_where_things_lie() -> None:
    link = Slot(ROOT / DEFAULT_FOLDER, DEFAULT_SLOT).link.relative_to(ROOT)
    assert f"~/{link}" in PAGE
    assert unit_name("camera").removesuffix(".service") in PAGE
    assert "~/.config/edgevit/services/camera.env" in PAGE
