"""docs/faults.md names tests that exist."""

import ast
import re

import pytest

from tests.needs import ROOT

NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")


def test_there_are_at_least_twelve() -> None:
    assert len(set(NAMED.findall(PAGE))) >= 12


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE))))
def test_a_named_test_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
