"""A study's runs as a plain loop, for a machine that has PyTorch and no cluster: one JSON line a run.

    python -m pipeline.study.executor pipeline/study/tiny_vs_small.yaml --data raccoon=FOLDER --out runs.jsonl

Runs whose line is there already are not repeated. A run that fails leaves a line with its error, and is tried again
the next time. What executes the runs is an `Execute`: here processes of this machine.
"""

import argparse
import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.console.exit_codes import refusals
from pipeline.study.data import data_digests, folders_of, named_folders
from pipeline.study.design import DataChoice, Run, Study, read_study
from pipeline.study.rows import Row, Standing, append, standing
from pipeline.training.identity import engine_digest
from yolox_core.errors import InputError

CODE_DIGEST_LENGTH = 16


@dataclass(frozen=True)
class Job:
    """One run and the images it needs; can be sent to another process."""

    run: Run
    choice: DataChoice
    folder: Path


# Runs in, a row out as each ends, in any order; of a run that failed its key and `error`.
Execute = Callable[[Sequence[Job]], Iterator[dict[str, Any]]]


@dataclass(frozen=True)
class Processes:
    """Executes runs on this machine, each in a process with one thread."""

    at_once: int = 1
    device: str = "cpu"
    loader_workers: int = 0  # processes that load images, for each run
    until_s: float = float("inf")  # start no run after so many seconds

    def __post_init__(self) -> None:
        if self.at_once < 1:
            raise InputError(f"--at-once: expected at least 1, got {self.at_once}.")

    def __call__(self, jobs: Sequence[Job]) -> Iterator[dict[str, Any]]:
        """Rows as the runs end."""
        began = time.monotonic()
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.at_once, mp_context=context, initializer=_end_with_parent) as pool:
            waiting = iter(jobs)
            running: set[Future[dict[str, Any]]] = set()
            while True:
                while len(running) < self.at_once and time.monotonic() - began < self.until_s:
                    job = next(waiting, None)
                    if job is None:
                        break
                    running.add(pool.submit(attempt, job, self.device, self.loader_workers))
                if not running:
                    return
                future = next(as_completed(running))
                running.remove(future)
                try:
                    row = future.result()
                except BrokenProcessPool as broken:
                    raise InputError(
                        f"a run's process was killed ({broken}). Runs done are kept; try fewer --at-once."
                    ) from broken
                yield row


def _end_with_parent() -> None:
    """In a run's process: end when the loop is gone. The pool's own processes would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def attempt(job: Job, device: str, loader_workers: int) -> dict[str, Any]:
    """A run's row, or its key and error."""
    import torch

    from pipeline.study.single_run import run_one

    torch.set_num_threads(1)
    try:
        return run_one(job.run, job.choice, job.folder, torch.device(device), loader_workers, threads=1)
    except Exception:  # one run's failure is not the study's
        return {"key": job.run.key, "error": traceback.format_exc()}


def run_missing(study: Study, given: Mapping[str, Path], out: Path, execute: Execute) -> Iterator[Row]:
    """Run what of the plan has no row in `out`; each row is kept there before it is handed on.

    Everything is checked before the first run: the data, and that the rows so far are of this study and this data.
    """
    names = dict.fromkeys(run.data for run in standing(study, out).missing)
    rendered = (name for name, choice in study.data.items() if choice.synthetic is not None)
    folders = folders_of(study, dict.fromkeys([*names, *rendered]), given)
    digests = {name: data_digests(folder) for name, folder in folders.items()}
    missing = standing(study, out, digests).missing
    data_of = {run.key: run.data for run in missing}
    code = engine_digest()[:CODE_DIGEST_LENGTH]
    for row in execute([Job(run, study.data[run.data], folders[run.data]) for run in missing]) if missing else ():
        kept = dict(row)
        if "error" not in row:
            data = data_of[row["key"]]
            kept |= {"data_digest": digests[data][0], "choice": study.choice_digest(data), "code": code}
        append(out, kept)
        yield kept


def told(rows: Iterator[Row], before: Standing, at_once: int) -> Iterator[str]:
    """A line for each row: how far, the figure, and how long the rest may take."""
    began, failed = time.monotonic(), 0
    for count, row in enumerate(rows, start=1):
        elapsed = time.monotonic() - began
        failed += "error" in row
        rounds_left = -(-(len(before.missing) - count) // at_once)
        left = elapsed / -(-count // at_once) * rounds_left
        yield f"{count}/{len(before.missing)} {elapsed:.0f} s, {left:.0f} s left  {_line(row)}"
    if failed:
        yield f"{failed} runs failed; they are tried again the next time"


def _line(row: Row) -> str:
    if "error" in row:
        return f"{row['key']}: {row['error'].strip().splitlines()[-1]}"
    held_out = row["figures"]["held_out"]
    return f"{row['key']}: map {held_out.get('map', 0):.3f}, {row['trained_s']:.0f} s of training"


def default_device() -> str:
    """The GPU where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.study.executor", description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, one a run")
    parser.add_argument("--at-once", type=int, default=1, help="runs side by side, each a process")
    parser.add_argument("--loader-workers", type=int, default=0, help="processes that load images, for each run")
    parser.add_argument("--device", default=default_device())
    parser.add_argument("--until-s", type=float, default=float("inf"), help="start no run after so many seconds")
    words = parser.parse_args()
    with refusals():
        study = read_study(words.study)
        execute = Processes(words.at_once, words.device, words.loader_workers, words.until_s)
        before = standing(study, words.out)
        rows = run_missing(study, named_folders(study, words.data), words.out, execute)
        print(f"{len(study.plan())} runs, {len(before.done)} done before", flush=True)
        for line in told(rows, before, words.at_once):
            print(line, flush=True)


if __name__ == "__main__":
    main()
