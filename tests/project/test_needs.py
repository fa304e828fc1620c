"""A missing tool skips a test on a person's machine, and fails it where all are promised."""

from __future__ import annotations

import pytest

from support import needs
from support.needs import Circumstance, Tool, need_tool, only_if

ABSENT = Tool(lambda: False, "apt-get install teapot")


@pytest.fixture(autouse=True)
def no_teapot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(needs.TOOLS, "teapot", ABSENT)


def test_without_a_tool_a_test_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(needs.REQUIRE_TOOLS, raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install teapot"):
        need_tool("teapot")


def test_where_tools_are_promised_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(needs.REQUIRE_TOOLS, "1")
    with pytest.raises(pytest.fail.Exception, match="teapot is not installed"):
        need_tool("teapot")


def test_what_no_package_brings_is_skipped_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(needs.REQUIRE_TOOLS, "1")
    with pytest.raises(pytest.skip.Exception, match="the moon is not full"):
        only_if(Circumstance(lambda: False, "the moon is not full"))
    only_if(Circumstance(lambda: True, "never"))
