"""Every file and module that a page names exists: pages outlive moves otherwise."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.architecture.imports import modules
from tests.needs import ROOT

PAGES = ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "infra/**/*.md", "benchmarks/*.md", "tests/**/*.md")
SETTINGS = (
    "params.yaml",
    "dvc.yaml",
    "pipeline/*/dvc.yaml",
    "Makefile",
    "pyproject.toml",
    "infra/**/*.yaml",
    "examples/*",
)
FILE = re.compile(r"(?<![\w./-])((?:pipeline|yolox_core|tests|benchmarks|examples|infra)/[\w./-]*\w\.[a-z]\w*)")
MODULE = re.compile(r"(?<![\w./-])((?:pipeline|yolox_core)(?:\.[a-z_]+)+)\b(?!\.?/)")


def pages() -> list[Path]:
    return sorted({path for pattern in (*PAGES, *SETTINGS) for path in ROOT.glob(pattern)})


def absent(text: str) -> Iterator[str]:
    """What `text` names and this project does not have."""
    yield from (name for name in FILE.findall(text) if not (ROOT / name).exists())
    for name in MODULE.findall(text):
        parent = name.rpartition(".")[0]  # a module's own name may follow: a function, a class
        if name not in modules() and (parent not in modules() or parent in ("pipeline", "yolox_core")):
            yield name


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    assert not list(absent(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("see `pipeline/cli/main.py` and pipeline.cli.main", []),
        ("see `pipeline/commands/main.py`", ["pipeline/commands/main.py"]),
        ("(`yolox_core/train/step.py::f`)", ["yolox_core/train/step.py"]),
        ("`python -m pipeline.stages.train`, not `pipeline.commands.train`", ["pipeline.commands.train"]),
        ("`pipeline.stages.<stage>`, `yolox_core.training.engine.train`, `yolox_core.nothing`", ["yolox_core.nothing"]),
    ],
)
def test_the_rule_tells_what_is_there(text: str, missing: list[str]) -> None:
    assert list(absent(text)) == missing
