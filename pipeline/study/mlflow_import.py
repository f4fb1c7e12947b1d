"""A study's rows in MLflow: one parent run a study, one child a row. Done again, only what is new is added.

A child carries the digest of its row as a tag, which is written last: a child without it is one that an import was cut
short in, and is made anew.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.registry.run_history import MARKER, metric_name, send_metrics
from pipeline.registry.run_log import experiment, flat
from pipeline.registry.store import artifact_location, connect, shown, tracking_uri
from pipeline.study.design import Run, Study, letters
from pipeline.study.rows import Row, digest, standing, write_table
from yolox_core.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

STUDY_TAG, DIGEST_TAG, PARENT_TAG = "study", "study.row", "mlflow.parentRunId"
PAGE = 1000  # runs of one answer


@dataclass(frozen=True)
class StudyRun:
    """One row, as MLflow takes it."""

    digest: str  # of all that the row says
    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    losses: Sequence[float]  # by epoch
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Imported:
    """Where the rows are now."""

    parent: str
    runs: Mapping[str, str]  # digest of a row -> its run
    new: int
    address: str  # without a password


def import_study(name: str, question: str, rows: Sequence[StudyRun]) -> Imported:
    """Bring the rows into the store, those apart that it has; experiment `study-<name>`."""
    uri = tracking_uri()
    client = connect(uri, advice="Check MLFLOW_TRACKING_URI, then import again: rows are kept.")
    place = experiment(client, f"study-{name}", artifact_location(uri))
    parent = _parent(client, place, name, question)
    runs: dict[str, str] = {}
    for child in _found(client, place, f"tags.`{PARENT_TAG}` = '{parent}'"):
        digest = child.data.tags.get(DIGEST_TAG)
        if digest is None or digest in runs:
            client.delete_run(child.info.run_id)
        else:
            runs[digest] = child.info.run_id
    missing = [row for row in rows if row.digest not in runs]
    for row in missing:
        runs[row.digest] = _child(client, place, parent, row)
    client.set_terminated(parent)
    return Imported(parent, runs, len(missing), shown(uri))


def _parent(client: "MlflowClient", place: str, name: str, question: str) -> str:
    known = [run for run in _found(client, place, f"tags.{STUDY_TAG} = '{name}'") if PARENT_TAG not in run.data.tags]
    if known:
        oldest: str = min(known, key=lambda run: run.info.start_time).info.run_id
        return oldest
    tags = {STUDY_TAG: name, "mlflow.note.content": question}
    made: str = client.create_run(place, run_name=name, tags=tags).info.run_id
    return made


def _child(client: "MlflowClient", place: str, parent: str, row: StudyRun) -> str:
    from mlflow.entities import Metric, Param

    tags = {**row.tags, PARENT_TAG: parent}
    run_id: str = client.create_run(place, run_name=row.name, tags=tags).info.run_id
    params = [Param(key, value) for key, value in flat(row.params).items()]
    for start in range(0, len(params), 100):
        client.log_batch(run_id, params=params[start : start + 100])
    send_metrics(client, run_id, {metric_name(key): value for key, value in row.metrics.items()}, step=0)
    losses = [Metric(MARKER, loss, epoch, epoch) for epoch, loss in enumerate(row.losses)]
    for start in range(0, len(losses), PAGE):
        client.log_batch(run_id, metrics=losses[start : start + PAGE])
    client.set_terminated(run_id)
    client.set_tag(run_id, DIGEST_TAG, row.digest)
    return run_id


def _found(client: "MlflowClient", place: str, wanted: str) -> Iterator["MlflowRun"]:
    token = None
    while True:
        page = client.search_runs([place], wanted, max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def into_mlflow(study: Study, rows: Path) -> tuple[Imported, Path]:
    """Bring the rows of `rows` that the study plans into MLflow, and write the table beside them."""
    if rows.suffix == ".csv":
        raise InputError(f"{rows}: expected the lines of the runs (.jsonl), got their table. Name the lines.")
    done = standing(study, rows).done
    if not done:
        raise InputError(f"{rows}: expected rows of runs that ended, got none. Run the study first.")
    planned = {run.key: run for run in study.plan()}
    imported = import_study(study.name, study.question, [_run(planned[row["key"]], row) for row in done])
    table = rows.with_suffix(".csv")
    write_table(table, done, imported.runs)
    return imported, table


def _run(run: Run, row: Row) -> StudyRun:
    known = {"data.digest": row.get("data_digest"), "code": row.get("code")}
    return StudyRun(
        digest=digest(row),
        name=run.key,
        params=run.params,
        metrics=_metrics(row),
        losses=row["loss"],
        tags={
            "data": run.data,
            "seed": str(run.seed),
            "cell": letters(run.cell),
            **{f"cell.{factor}": level for factor, level in run.cell.items()},
            "device": row["device"],
            "torch": row["torch"],
            **{name: value for name, value in known.items() if value is not None},
        },
    )


def _metrics(row: Row) -> dict[str, float]:
    """Figures of the held-out images under their plain names, the others under those of their images."""
    figures: Mapping[str, Mapping[str, float]] = {
        "": row["figures"]["held_out"],
        "training/": row["figures"]["training"],
        "set_aside/": row["figures"]["set_aside"],
        **{f"{size}_px/": part for size, part in row["figures"]["held_out_by_size"].items()},
    }
    named = {f"{part}{name}": value for part, values in figures.items() for name, value in values.items()}
    return {**named, **row["health"], "time/trained_s": row["trained_s"], "time/whole_s": row["whole_s"]}
