"""Every finding that the code can make stands in the catalog, and nothing else does."""

import ast
from pathlib import Path

from pipeline.data.checks import catalog
from pipeline.data.checks.catalog import CATALOG, SEVERITIES
from tests.needs import ROOT

FOLDER = Path(catalog.__file__).parents[1]
DECODING = ROOT / "yolox_core" / "data" / "decoding"  # says what a conversion loses


def texts() -> set[str]:
    """Every text in the code of the data sets but the catalog's own."""
    found = set()
    for path in [*FOLDER.rglob("*.py"), *DECODING.rglob("*.py")]:
        if path.name != "catalog.py":
            nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            found |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return found


def codes() -> set[str]:
    """The first argument of each Finding(...) that is a text."""
    found = set()
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding":
                first = node.args[0] if node.args else None  # read back from a file
                found |= {first.value} if isinstance(first, ast.Constant) else set()
    return {str(code) for code in found}


def test_every_finding_is_explained() -> None:
    assert len(codes()) > 20
    assert codes() <= set(CATALOG)


def test_nothing_is_explained_that_cannot_be_found() -> None:
    assert set(CATALOG) <= texts()


def test_the_documentation_has_a_row_for_each() -> None:
    rows = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8").splitlines()
    expected = [f"| `{code}` | {one.severity} | {one.means} | {one.remedy} |" for code, one in CATALOG.items()]
    assert [row for row in rows if row.startswith("| `")] == expected


def test_every_check_says_how_bad_it_is_what_it_means_and_what_helps() -> None:
    for code, check in CATALOG.items():
        assert check.severity in SEVERITIES, code
        assert check.means.endswith(".") and check.remedy.endswith("."), code
        assert ("--fix" not in check.remedy) or check.fixed, code
