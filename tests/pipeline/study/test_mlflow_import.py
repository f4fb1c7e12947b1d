"""A study's rows in a real MLflow store: each once, with what it says, however often and wherever it was cut short."""

import csv
from pathlib import Path

import pytest

from pipeline.registry.store import connect, tracking_uri
from pipeline.study.design import read_study
from pipeline.study.mlflow_import import DIGEST_TAG, PARENT_TAG, into_mlflow
from pipeline.study.rows import digest, read_rows
from tests.needs import ROOT

STUDY = read_study(ROOT / "pipeline" / "study" / "planted.yaml")
RECORDED = ROOT / "tests" / "pipeline" / "study" / "planted.jsonl"


@pytest.fixture
def rows(project: Path) -> Path:
    """Two rows of the planted study."""
    lines = RECORDED.read_text(encoding="utf-8").splitlines(keepends=True)
    (project / "runs.jsonl").write_text("".join(lines[:2]), encoding="utf-8")
    return project / "runs.jsonl"


def test_each_row_is_imported_once_and_its_run_is_named(rows: Path) -> None:
    first, table = into_mlflow(STUDY, rows)
    assert first.new == 2
    client = connect(tracking_uri())
    parent = client.get_run(first.parent)
    assert parent.data.tags["study"] == "planted" and parent.info.status == "FINISHED"
    for row in read_rows(rows):
        run = client.get_run(first.runs[digest(row)])
        assert run.data.tags[PARENT_TAG] == first.parent and run.info.status == "FINISHED"
        assert run.data.tags["seed"] == str(row["seed"]) and run.data.tags["cell.input_size"] == "low"
        assert run.data.tags["data.digest"] == row["data_digest"]
        assert run.data.params["train.input_size"] == "32" and run.data.params["model.width"] == "0.125"
        assert run.data.metrics["map"] == pytest.approx(row["figures"]["held_out"]["map"])
        losses = client.get_metric_history(run.info.run_id, "loss")
        assert [metric.value for metric in losses] == pytest.approx(row["loss"])
    named = {line["key"]: line["mlflow_run"] for line in csv.DictReader(table.read_text().splitlines())}
    assert named == {row["key"]: first.runs[digest(row)] for row in read_rows(rows)}

    with rows.open("a", encoding="utf-8") as file:
        file.write(RECORDED.read_text(encoding="utf-8").splitlines(keepends=True)[2])
    second, _ = into_mlflow(STUDY, rows)
    assert (second.new, second.parent, len(second.runs)) == (1, first.parent, 3)
    assert second.runs.items() >= first.runs.items()


def test_an_import_that_was_cut_short_is_completed(rows: Path) -> None:
    first, _ = into_mlflow(STUDY, rows)
    client = connect(tracking_uri())
    half = next(iter(first.runs.values()))
    client.delete_tag(half, DIGEST_TAG)  # it is written last
    second, _ = into_mlflow(STUDY, rows)
    assert second.new == 1 and half not in second.runs.values()
    experiment = client.get_run(first.parent).info.experiment_id
    assert len(client.search_runs([experiment])) == 3  # the parent and a run a row
