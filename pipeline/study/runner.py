"""`yolox study`: check everything, show the plan and its time, run what is missing, write the answer."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.cluster.ray_cluster import ComputeConfig, check_address, set_environment
from pipeline.config import paths
from pipeline.study.analysis import CONFIDENCE, smallest_p
from pipeline.study.answer import write_answer
from pipeline.study.data import folders_of, named_folders
from pipeline.study.design import Study, letters, read_study
from pipeline.study.executor import Execute, Processes, default_device, run_missing, told
from pipeline.study.mlflow_import import into_mlflow
from pipeline.study.rows import Standing, standing
from pipeline.training.run_lock import run_lock
from yolox_core.errors import InputError

ANSWERS = Path("reports/studies")  # by name
ROWS = paths.RUNS / "studies"  # outside DVC's outputs: an interrupted study goes on


@dataclass(frozen=True)
class Places:
    """Where a study keeps what it makes."""

    rows: Path  # a line a run; outlives every interruption
    answer: Path  # a folder

    @classmethod
    def of(cls, study: Path, rows: Path | None = None, answer: Path | None = None) -> "Places":
        """The given ones, or those named after the study's file."""
        return cls(rows or ROWS / f"{study.stem}.jsonl", answer or ANSWERS / study.stem)


def plan(file: Path, places: Places, at_once: int | None = None, device: str | None = None) -> tuple[Study, Standing]:
    """Check the study and print what is done, what is to do and how long it may take."""
    study = read_study(file)
    stands = standing(study, places.rows)
    at_once = ComputeConfig.from_environment().trials if at_once is None else at_once
    for line in shown(study, stands, at_once, device or default_device()):
        print(line)
    return study, stands


def run(
    file: Path,
    data: Sequence[str],
    places: Places,
    yes: bool,
    at_once: int | None,
    device: str | None,
    ray: bool = False,
) -> None:
    """All of it; what has a row is not run again. Asks before the first run, unless `yes`."""
    at_once = ComputeConfig.from_environment().trials if at_once is None else at_once
    study, stands = plan(file, places, at_once, device)
    execute = executor(places, at_once, device or default_device(), ray)
    given = named_folders(study, data)
    if places.rows.suffix != ".jsonl":
        raise InputError(f"--rows: expected a .jsonl file to add lines to, got {places.rows}. Name another.")
    if stands.missing:
        folders_of(study, dict.fromkeys(run.data for run in stands.missing), given)  # refused before it is asked
        if not (yes or _agreed(len(stands.missing))):
            return
    with run_lock(places.rows.with_suffix(".alone")):
        for line in told(run_missing(study, given, places.rows, execute), stands, at_once):  # looks at all images, too
            print(line, flush=True)
    answer(file, places)


def executor(places: Places, at_once: int, device: str, ray: bool) -> Execute:
    """Ray Tune where it is asked for or a cluster is named, otherwise processes of this machine."""
    processes = Processes(at_once, device)
    compute = ComputeConfig.from_environment()
    if not ray and not compute.address:
        return processes
    check_address(compute)
    set_environment(compute)
    from pipeline.study.ray_executor import OnCluster

    if device != "cpu":
        device = "cuda"  # which one is Ray's to choose
    return OnCluster(
        replace(compute, trials=at_once), (places.rows.parent / f"tune-{places.rows.stem}").resolve(), device
    )


def answer(file: Path, places: Places) -> None:
    """Write what the rows so far carry."""
    study = read_study(file)
    print(f"{write_answer(study, standing(study, places.rows), places.answer)}: written")


def bring_into_mlflow(file: Path, places: Places) -> None:
    """Every row as an MLflow run, and the table that names them."""
    imported, table = into_mlflow(read_study(file), places.rows)
    print(f"{imported.new} of {len(imported.runs)} rows are new at {imported.address}, below run {imported.parent}")
    print(f"{table}: written")


def shown(study: Study, stands: Standing, at_once: int, device: str) -> list[str]:
    """The plan, a line a cell."""
    lines = [study.question, f"metric {study.metric}; factors {', '.join(study.factors)}"]
    done = {row["key"] for row in stands.done}
    for run_ in study.plan():
        if run_.seed == study.seeds[0]:
            of_cell = [other for other in study.plan() if (other.data, other.cell) == (run_.data, run_.cell)]
            ended = sum(other.key in done for other in of_cell)
            lines.append(f"  {run_.data} {letters(run_.cell)}: {ended} of {len(of_cell)} seeds done")
    left = stands.seconds_left(at_once, device)
    time = "time unknown until the first of them ends" if left is None else f"about {_time(left)}"
    lines.append(f"{len(stands.done)} runs done, {len(stands.missing)} to do{f', {time}' if stands.missing else ''}")
    if smallest_p(study, len(study.seeds)) >= 1 - CONFIDENCE:
        lines.append(f"with {len(study.seeds)} seeds no effect can be shown, however large: add seeds or factors")
    if stands.codes > 1:
        lines.append(f"the rows so far were made by {stands.codes} versions of the detector's code")
    return lines


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _agreed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise InputError(f"study: expected an answer to `run {count}?`, got no terminal. Say --yes to run them.")
    return input(f"run {count}? [y/N] ").strip().lower() == "y"
