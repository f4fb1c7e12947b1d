"""A file is one idea, a function one thought."""

import ast
from pathlib import Path

import pytest

from tests.needs import ROOT

FILE_LINES, FUNCTION_LINES = 400, 60
FILES = sorted(
    path
    for room in ("yolox_core", "pipeline", "tests", "benchmarks", "examples")
    for path in (ROOT / room).rglob("*.py")
    if "__pycache__" not in path.parts
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_long_file_and_no_long_function(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= FILE_LINES
    long = {
        f"{node.name} (line {node.lineno})": lines
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    }
    assert not long
