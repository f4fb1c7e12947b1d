"""A study's runs as a plain loop, for a machine that has PyTorch and no cluster: one JSON line a run.

    python -m pipeline.study.loop pipeline/study/tiny_vs_small.yaml --data raccoon=FOLDER --out runs.jsonl --at-once 6

Runs whose line is there already are not repeated. A run that fails leaves a line with its error, and is tried again
the next time.
"""

import argparse
import json
import multiprocessing
import time
import traceback
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from pipeline.entry import refusals
from pipeline.study.design import DataChoice, Run, read_study
from pipeline.study.run import run_one
from yolox_core.errors import InputError


def finished(out: Path) -> dict[str, dict[str, Any]]:
    """The rows of the runs that have been done."""
    if not out.is_file():
        return {}
    rows = []
    for line in out.read_text(encoding="utf-8").splitlines():
        with suppress(json.JSONDecodeError):  # half a line: the machine went away
            rows.append(json.loads(line))
    return {row["key"]: row for row in rows if "error" not in row}


def attempt(run: Run, choice: DataChoice, folder: Path, device: str, loader_workers: int) -> dict[str, Any]:
    """A run's row, or its key and error."""
    torch.set_num_threads(1)
    try:
        return run_one(run, choice, folder, torch.device(device), loader_workers, threads=1)
    except Exception:  # one run's failure is not the study's
        return {"key": run.key, "error": traceback.format_exc()}


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.study.loop", description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--data", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, one a run")
    parser.add_argument("--at-once", type=int, default=1, help="runs side by side, each a process")
    parser.add_argument("--loader-workers", type=int, default=0, help="processes that load images, for each run")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--until-s", type=float, default=float("inf"), help="start no run after so many seconds")
    told = parser.parse_args()
    with refusals():
        study = read_study(told.study)
        folders = {name: Path(folder) for name, _, folder in (pair.partition("=") for pair in told.data) if folder}
        for name in study.data:
            if name not in folders:
                raise InputError(f"--data: expected {name}=FOLDER, the study needs it.")
        loop(told, study.plan(), study.data, folders)


def loop(told: argparse.Namespace, plan: list[Run], data: Any, folders: dict[str, Path]) -> None:
    """Run what of `plan` has no row yet, `at_once` at a time."""
    began = time.monotonic()
    done = finished(told.out)
    missing = [run for run in plan if run.key not in done]
    for planned in plan:
        if planned.key in done and done[planned.key]["params"] != planned.digest:
            raise InputError(f"{told.out}: {planned.key} was run with other parameters. Give another --out.")
    print(f"{len(plan)} runs, {len(done)} done before", flush=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(told.at_once, mp_context=context) as pool:
        waiting = iter(missing)
        running: set[Future[dict[str, Any]]] = set()
        finished_now = 0
        while True:
            while len(running) < told.at_once and time.monotonic() - began < told.until_s:
                run = next(waiting, None)
                if run is None:
                    break
                given = (run, data[run.data], folders[run.data], told.device, told.loader_workers)
                running.add(pool.submit(attempt, *given))
            if not running:
                break
            future = next(as_completed(running))
            running.remove(future)
            try:
                row = future.result()
            except BrokenProcessPool as broken:
                raise InputError(
                    f"a run's process was killed ({broken}). Runs done are kept; try fewer --at-once."
                ) from broken
            with told.out.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(row) + "\n")
            finished_now += 1
            elapsed = time.monotonic() - began
            print(f"{finished_now}/{len(missing)} {elapsed:.0f} s  {_line(row)}", flush=True)


def _line(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"{row['key']}: {row['error'].strip().splitlines()[-1]}"
    held_out = row["figures"]["held_out"]
    return f"{row['key']}: map {held_out.get('map', 0):.3f}, {row['trained_s']:.0f} s of training"


if __name__ == "__main__":
    main()
