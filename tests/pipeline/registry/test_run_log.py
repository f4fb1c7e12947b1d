"""The training's MLflow run: complete and in order whatever happens to the store, and never in training's way."""

import json
import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.registry.run_history import metric_name
from pipeline.registry.run_log import STATE, RunLog, RunSpec, attach, send_missing
from pipeline.registry.store import DATABASE, connect, shown, tracking_uri

Write = Callable[[Path, int], list[dict[str, Any]]]
DEAD = "http://127.0.0.1:9"  # the discard port: nobody listens on it
PARAMS = {"train": {"epochs": 3, "input_size": [320, 320]}, "seed": 0}


def opened(run_dir: Path) -> RunLog:
    return RunLog.open(run_dir, "exp", run_dir.name, PARAMS, {"data.digest": "abc"})


def losses(run_dir: Path) -> list[tuple[int, float]]:
    """(step, value) in the order in which the store has them."""
    state = json.loads((run_dir / STATE).read_text(encoding="utf-8"))
    history = connect(tracking_uri()).get_metric_history(state["run_id"], "loss")
    return [(metric.step, metric.value) for metric in history]


def test_an_epoch_arrives_with_its_numbers_and_the_run_is_closed(project: Path, write_history: Write) -> None:
    run_dir = project / "runs" / "one"
    log = opened(run_dir)
    for row in write_history(run_dir, 3):
        log.log_epoch(row, {"epoch": row["epoch"], "seconds": 1.5})
    log.finish()

    run = connect(tracking_uri()).get_run(str(log.run_id))
    assert losses(run_dir) == [(0, 10.0), (1, 9.0), (2, 8.0)]
    assert run.info.status == "FINISHED"
    assert run.data.metrics["class/a b/map"] == pytest.approx(0.02)
    assert run.data.metrics["time/seconds"] == 1.5
    assert run.data.params == {"train.epochs": "3", "train.input_size": "[320, 320]", "seed": "0"}
    assert run.data.tags["data.digest"] == "abc"
    assert run.info.artifact_uri.startswith((project / "mlartifacts").as_uri())


def test_a_resumed_training_goes_on_in_the_same_run(project: Path, write_history: Write) -> None:
    run_dir = project / "runs" / "resumed"
    rows = write_history(run_dir, 4)
    write_history(run_dir, 2)
    first = opened(run_dir)
    first.log_epoch(rows[0])
    first.finish("FAILED")  # the process died after epoch 1, which was written but never handed over

    second = opened(run_dir)
    write_history(run_dir, 4)
    for row in rows[1:]:  # epoch 1 is trained again, as after a crash before its checkpoint
        second.log_epoch(row)
    second.finish()

    assert second.run_id == first.run_id
    assert losses(run_dir) == [(0, 10.0), (1, 9.0), (2, 8.0), (3, 7.0)]
    assert connect(tracking_uri()).get_run(str(second.run_id)).info.status == "FINISHED"


def test_a_lost_cursor_duplicates_nothing(project: Path, write_history: Write) -> None:
    run_dir = project / "runs" / "cursor"
    rows = write_history(run_dir, 2)
    log = opened(run_dir)
    for row in rows:
        log.log_epoch(row)
    log.finish()
    state = json.loads((run_dir / STATE).read_text(encoding="utf-8"))
    (run_dir / STATE).write_text(json.dumps(state | {"logged_epochs": 0}), encoding="utf-8")

    again = opened(run_dir)
    again.finish()
    assert losses(run_dir) == [(0, 10.0), (1, 9.0)]


def test_a_dead_server_costs_training_nothing_and_loses_nothing(
    project: Path, write_history: Write, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run_dir = project / "runs" / "away"
    rows = write_history(run_dir, 3)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", DEAD)
    with caplog.at_level(logging.WARNING, logger="pipeline.registry.run_log"):
        began = time.monotonic()
        log = opened(run_dir)
        for row in rows:
            log.log_epoch(row)
        assert time.monotonic() - began < 1.0
        log.finish()
    away = [record for record in caplog.records if "does not answer" in record.message]
    assert len(away) == 1 and "\n" not in away[0].message
    assert "register stage sends the rest" in caplog.records[-1].message
    assert log.run_id is None

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    spec = RunSpec(run_dir, "exp", "away", PARAMS, {})
    client = connect(tracking_uri())
    assert send_missing(client, attach(client, spec, tracking_uri()), spec, tracking_uri()) == 3
    assert losses(run_dir) == [(0, 10.0), (1, 9.0), (2, 8.0)]


def test_a_store_that_comes_back_gets_the_epochs_it_missed(project: Path, write_history: Write) -> None:
    run_dir = project / "runs" / "back"
    rows = write_history(run_dir, 3)
    database, hidden = project / "mlflow.db", project / "elsewhere"
    database.rename(hidden)
    database.mkdir()  # sqlite cannot open a folder: the store is away
    log = opened(run_dir)
    log.log_epoch(rows[0])
    log.log_epoch(rows[1])
    deadline = time.monotonic() + 20
    while not log._complained and time.monotonic() < deadline:
        time.sleep(0.05)
    database.rmdir()
    hidden.rename(database)
    log.log_epoch(rows[2])
    log.finish()
    assert losses(run_dir) == [(0, 10.0), (1, 9.0), (2, 8.0)]


def test_a_wiped_store_gets_a_new_run_with_the_whole_history(
    project: Path, write_history: Write, empty_store: Path
) -> None:
    run_dir = project / "runs" / "wiped"
    write_history(run_dir, 2)
    first = opened(run_dir)
    first.finish()
    (project / "mlflow.db").write_bytes(empty_store.read_bytes())

    second = opened(run_dir)
    second.finish()
    assert second.run_id != first.run_id
    assert losses(run_dir) == [(0, 10.0), (1, 9.0)]


def test_a_changed_parameter_does_not_stop_the_run(project: Path, write_history: Write) -> None:
    run_dir = project / "runs" / "changed"
    write_history(run_dir, 1)
    opened(run_dir).finish()
    log = RunLog.open(run_dir, "exp", "changed", {"seed": 1, "workers": 2}, {})
    log.finish()
    params = connect(tracking_uri()).get_run(str(log.run_id)).data.params
    assert (params["seed"], params["workers"]) == ("0", "2")


@pytest.mark.parametrize(
    ("name", "legal"),
    [
        ("class/stop sign (red)/map", "class/stop sign _red_/map"),
        ("class//map", "class/map"),
        ("class/../map", "map"),
        ("../x", "x"),
        ("map_50", "map_50"),
    ],
)
def test_metric_names_are_made_legal(name: str, legal: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    assert metric_name(name) == legal
    _validate_metric_name(metric_name(name))


def test_a_password_is_never_shown() -> None:
    assert shown("https://me:secret@host:5000/x") == "https://me:***@host:5000/x"


def test_a_locked_database_is_waited_for(project: Path, write_history: Write) -> None:
    """Another process holds the database for longer than one attempt; every epoch arrives, in order, once."""
    run_dir = project / "runs" / "locked"
    rows = write_history(run_dir, 3)
    log = opened(run_dir)
    log.log_epoch(rows[0])
    deadline = time.monotonic() + 60
    while log.run_id is None and time.monotonic() < deadline:
        time.sleep(0.05)
    with closing(sqlite3.connect(project / DATABASE, isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        log.log_epoch(rows[1])
        log.log_epoch(rows[2])
        assert time.monotonic() - began < 1.0  # training does not wait
        time.sleep(8)
        other.execute("ROLLBACK")
    log.finish()
    assert losses(run_dir) == [(0, 10.0), (1, 9.0), (2, 8.0)]
    assert connect(tracking_uri()).get_run(str(log.run_id)).info.status == "FINISHED"
