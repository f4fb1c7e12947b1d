"""The study's own DVC pipeline: plain `dvc repro` never runs it, and needs nothing of it; named, it runs all of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.study.rows import read_rows
from tests.integration.project import PARAMS, YOLOX, Family, Project, finish
from tests.pipeline.study.test_runner import MINI

pytestmark = [pytest.mark.timeout(900)]


def test_a_study_is_run_only_where_it_is_named(tmp_path: Path) -> None:
    assert "study" not in PARAMS  # a params.yaml of before
    project = Project.make(tmp_path / "project")
    main = {"stages": {"main": {"cmd": "echo nothing", "always_changed": True}}}
    (project.root / "dvc.yaml").write_text(yaml.safe_dump(main))
    plain = project.repro()
    assert "Running stage 'main'" in plain and "study" not in plain
    assert not (project.root / "reports").exists() and not (project.root / "runs").exists()

    (project.root / "mini.yaml").write_text(yaml.safe_dump(MINI))
    project.set_params({**PARAMS, "study": {"file": "mini.yaml", "data": {}}})
    named = project.repro("pipeline/study/dvc.yaml")
    assert "Running stage 'main'" not in named
    assert "4/4" in named and "4 of 4 rows are new" in named
    answer = (project.root / "reports/study/answer.md").read_bytes()
    assert (project.root / "runs/studies/mini.csv").is_file()

    again = project.repro("pipeline/study/dvc.yaml")
    assert "4 runs done, 0 to do" in again and "0 of 4 rows are new" in again
    assert (project.root / "reports/study/answer.md").read_bytes() == answer


@pytest.mark.ray
@pytest.mark.long
def test_ray_tune_makes_the_rows_that_the_plain_loop_makes(tmp_path: Path) -> None:
    project = Project.make(tmp_path / "project")
    (project.root / "mini.yaml").write_text(yaml.safe_dump(MINI))
    rows = {}
    for name, words in (("plain", ()), ("tune", ("--ray", "--at-once", "2"))):
        command = (*YOLOX, "study", "mini.yaml", "--yes", "--device", "cpu", "--rows", f"{name}.jsonl", *words)
        with Family(project.start(*command)) as family, family.watched():
            printed = finish(family.command)
        assert family.command.returncode == 0 and "4/4" in printed, printed[-4000:]
        rows[name] = sorted(
            (timeless(row) for row in read_rows(project.root / f"{name}.jsonl")), key=lambda row: row["key"]
        )
    assert rows["plain"] == rows["tune"]


def timeless(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("trained_s", "whole_s")}
