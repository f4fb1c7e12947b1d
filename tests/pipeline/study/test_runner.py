"""`yolox study` as one types it: plan, runs, answer; what is done is not run again, and nothing runs unasked."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.study.design import read_study
from pipeline.study.executor import Job, Processes, run_missing
from pipeline.study.rows import append, read_rows, standing
from tests.pipeline.cli.commands_project import Yolox
from yolox_core.errors import InputError

MINI = {
    "question": "Does width matter?",
    "metric": "map",
    "seeds": [0, 1],
    "factors": {"width": {"model.width": [0.125, 0.1875]}},
    "data": {"scenes": {"folds": 2, "synthetic": {"images": 10, "seed": 1}}},
    "base": {
        "model": {"size": "tiny"},
        "train": {"epochs": 1, "closing_epochs": 0, "warmup_epochs": 0, "batch_size": 4, "input_size": 64},
    },
}
ROWS = Path("runs/studies/mini.jsonl")


@pytest.fixture
def mini(yolox: Yolox) -> Path:
    """A study of four runs of a second each, in the current folder."""
    Path("mini.yaml").write_text(yaml.safe_dump(MINI))
    return Path("mini.yaml")


@pytest.mark.training
def test_a_study_is_planned_run_and_answered_once(yolox: Yolox, mini: Path) -> None:
    planned = yolox("study", mini, "--plan", "--device", "cpu")
    assert planned.code == 0 and "0 runs done, 4 to do, time unknown" in planned.out
    assert "with 2 seeds no effect can be shown" in planned.out  # of one factor: six seeds are the least
    assert not ROWS.exists()

    unasked = yolox("study", mini, "--device", "cpu")
    unasked.refused("run 4?", "--yes")
    assert not ROWS.exists()

    ended = yolox("study", mini, "--yes", "--device", "cpu")
    assert ended.code == 0, ended.line
    assert "4/4" in ended.out and "s left" in ended.out
    rows = read_rows(ROWS)
    assert len(rows) == 4 and len({row["data_digest"] for row in rows}) == len({row["code"] for row in rows}) == 1

    answer = Path("reports/studies/mini")
    cells = list(csv.DictReader((answer / "cells.csv").read_text().splitlines()))
    assert sorted((row["cell"][0], int(row["seed"])) for row in cells) == [("h", 0), ("h", 1), ("l", 0), ("l", 1)]
    page = (answer / "answer.md").read_text()
    assert "**width: not shown.**" in page
    for picture in ("scenes_effects.svg", "scenes_cells.svg"):
        assert picture in page and "</svg>" in (answer / picture).read_text()

    before = ROWS.read_bytes()
    again = yolox("study", mini)  # nothing is to do, so nothing is asked
    assert again.code == 0 and "4 runs done, 0 to do" in again.out and ROWS.read_bytes() == before
    lines = ROWS.read_text().splitlines(keepends=True)
    ROWS.write_text("".join(lines[:-1]))
    assert "3 runs done, 1 to do, about" in yolox("study", mini, "--plan", "--device", "cpu").out


@pytest.mark.training
def test_anything_may_execute_the_runs(yolox: Yolox, mini: Path) -> None:
    """The seam that a cluster uses: runs in, rows out in any order; each is kept before the next is asked for."""
    study = read_study(mini)
    keys = [run.key for run in study.plan()]

    def backwards(jobs: Sequence[Job]) -> Iterator[dict[str, Any]]:
        return Processes()(jobs[::-1])

    rows = run_missing(study, {}, ROWS, backwards)
    assert next(rows)["key"] == keys[-1] and [row["key"] for row in read_rows(ROWS)] == keys[-1:]
    rows.close()  # the driver dies
    assert [row["key"] for row in run_missing(study, {}, ROWS, backwards)] == keys[-2::-1]
    assert not standing(study, ROWS).missing


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--data", "scene=x"), "Did you mean 'scenes'"),
        (("--data", "scenes=nowhere", "--yes"), "expected a folder, got nowhere"),
        (("--answer",), "expected at least two seeds"),
        (("--import",), "expected rows of runs that ended, got none"),
        (("--rows", "rows.csv", "--yes"), "expected a .jsonl"),
        (("--at-once", "0"), "--at-once: expected at least 1"),
    ],
    ids=str,
)
def test_a_mistake_is_refused_before_anything_runs(
    yolox: Yolox, mini: Path, words: tuple[str, ...], expected: str
) -> None:
    yolox("study", mini, *words).refused(expected)
    assert not ROWS.exists()


def test_rows_of_another_version_of_the_study_are_refused(yolox: Yolox, mini: Path) -> None:
    run = read_study(mini).plan()[0]
    ROWS.parent.mkdir(parents=True)
    ROWS.write_text(json.dumps({"key": run.key, "params": "0" * 16}) + "\n")
    yolox("study", mini, "--plan").refused(str(ROWS), run.key, "one of others")
    ROWS.write_text("[1]\n")
    yolox("study", mini, "--plan").refused(str(ROWS), "expected a study's rows")


def test_rows_of_another_choice_of_images_are_refused(tmp_path: Path) -> None:
    plain = {**MINI, "seeds": [0]}
    (tmp_path / "mini.yaml").write_text(yaml.safe_dump(plain))
    rows = tmp_path / "rows.jsonl"
    study = read_study(tmp_path / "mini.yaml")
    append(
        rows, {"key": study.plan()[0].key, "params": study.plan()[0].digest, "choice": study.choice_digest("scenes")}
    )
    assert len(standing(study, rows).done) == 1
    for change in ({"data": {"scenes": MINI["data"]["scenes"] | {"folds": 3}}}, {"test_sizes": [96]}):
        (tmp_path / "mini.yaml").write_text(yaml.safe_dump({**plain, **change}))
        with pytest.raises(InputError, match="expected a row of the study's choice of images"):
            standing(read_study(tmp_path / "mini.yaml"), rows)
