"""`yolox runs`: what lies under runs/, how far it came, what refers to it, and how much room it takes."""

from pathlib import Path

from pipeline.sweep.trial import read_trials
from pipeline.training.run_list import list_runs, remove


def runs(clean: bool, yes: bool) -> None:
    """Print a line for each run; with `clean` remove those that nothing refers to, after asking."""
    found = list_runs(sweep_progress)
    for run in found:
        mlflow = f"  MLflow {run.mlflow_run[:8]}" if run.mlflow_run else ""
        kept = f"  {run.kept_for}" if run.kept_for else ""
        print(f"{run.name}  {run.state} {run.epochs}  {run.size_bytes / 2**20:.0f} MiB{mlflow}{kept}")
    spare = [run for run in found if run.kept_for is None]
    room = sum(run.size_bytes for run in spare) / 2**20
    print(f"{len(found)} runs, {len(spare)} that nothing refers to ({room:.0f} MiB)")
    if not clean or not spare:
        return
    if not yes and input(f"remove {', '.join(run.name for run in spare)}? [y/N] ").strip().lower() != "y":
        return
    for run in spare:
        print(f"removed {run.name}" if remove(run) else f"kept {run.name}: it is needed meanwhile")


def sweep_progress(trials: Path) -> str:
    """How many trials of a sweep have ended."""
    found = read_trials(trials)
    return f"{sum(trial.state != 'running' for trial in found)}/{len(found)} trials"
