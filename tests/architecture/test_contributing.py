"""The table of CONTRIBUTING.md names files that are there, at most three a task, and the lists that are counted."""

import re

import pytest

from tests.architecture.imports import modules
from tests.architecture.test_one_list import LISTS
from tests.needs import ROOT

SECTION = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Where to change what\n")[2]
LINES = [line.strip("| ") for line in SECTION.partition("\n## ")[0].splitlines() if line.startswith("| ")][1:]
TASKS = {cells[0]: cells[1:] for cells in (re.split(r"\s*\|\s*", line) for line in LINES)}
KINDS = {
    "annotation formats": "an annotation format",
    "export formats": "an export format",
    "search algorithms": "a search algorithm",
    "checks": "a doctor check",
}


def files(cell: str) -> list[str]:
    """The paths that a cell names; of several one is touched."""
    return re.findall(r"`([^`]+)`", cell)


def test_there_are_twelve() -> None:
    assert len(TASKS) == 12


@pytest.mark.parametrize("task", TASKS)
def test_a_task_touches_at_most_three_files_which_are_there(task: str) -> None:
    assert 1 <= len(TASKS[task]) <= 3
    for cell in TASKS[task]:
        assert files(cell), cell
        for name in files(cell):
            known = name.partition("<")[0]  # what comes behind is the reader's to choose
            assert (ROOT / known).exists() and (known == name or name.endswith(".py")), name


@pytest.mark.parametrize("kind", LISTS)
def test_the_table_names_the_list_that_is_counted(kind: str) -> None:
    named = [name for cell in TASKS[KINDS[kind]] for name in files(cell)]
    assert str(modules()[LISTS[kind].where].relative_to(ROOT)) in named
    assert len(TASKS[KINDS[kind]]) == 2, "its own file and the list"
