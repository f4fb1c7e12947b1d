"""A study's rows as MLflow runs, and runs.csv, which names the run of each row."""

from collections.abc import Mapping
from pathlib import Path

from pipeline.study.design import Run, Study, letters
from pipeline.study.mlflow_import import Imported, StudyRun, import_study
from pipeline.study.rows import Row, digest, standing, write_table
from yolox_core.errors import InputError


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
