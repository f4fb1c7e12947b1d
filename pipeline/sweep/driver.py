"""A sweep from space to report: search, compare the best, write reports/sweep, and follow it all in MLflow.

Search, then the best few again with seeds of their own, all measured on images held out of the training split: the
test split is not looked at. Everything lies in runs/sweep-<data>-<hash>; killed at any point, the same command goes on.
"""

import dataclasses
import signal
import sys
from collections.abc import Callable

from pipeline.cluster.ray_cluster import ComputeConfig, check_address, cluster
from pipeline.config.git_state import project_state
from pipeline.config.params_file import read_params
from pipeline.config.settings import Settings
from pipeline.sweep.mlflow_log import SweepLog
from pipeline.sweep.read_space import read_space
from pipeline.sweep.report import write
from pipeline.sweep.search import Sweep
from pipeline.sweep.submitted import carry
from pipeline.sweep.trial import RESULTS
from pipeline.training.loop_config import TrainLoopConfig
from pipeline.training.run_lock import run_lock
from yolox_core.atomic_files import new_folder


def sweep_space(
    settings: Settings,
    compute: ComputeConfig | None = None,
    carried: TrainLoopConfig | None = None,
    note: Callable[[], None] = lambda: None,
) -> None:
    """Search, compare, write reports/sweep, and tell MLflow.

    `carried`: what trials read, in a store; without it each node has the project's folder. `note` is called when a
    trial's files have been written.
    """
    plain = read_params()
    space = read_space(settings, plain)
    compute = compute or ComputeConfig.from_environment()
    check_address(compute)
    workers, threads = settings.sweep.workers_per_trial, compute.threads or 1  # not all cores: trials share them
    trials = dataclasses.replace(compute, workers=workers, threads=threads)
    if carried is None and compute.through_store:
        carried = carry(settings, trials)
    sweep = Sweep.prepare(settings, space, trials, carried, note)
    tags = project_state().tags()
    log = SweepLog(sweep.folder, settings.registered_name, plain, tags)
    try:
        with run_lock(sweep.folder), log:
            with cluster(sweep.compute):
                sweep.search(log)
                finalists = sweep.compare(log)
            outcome = sweep.outcome(finalists)
    except KeyboardInterrupt:
        print("sweep: interrupted. Run it again: it resumes.", file=sys.stderr)
        raise SystemExit(128 + signal.SIGINT) from None
    with new_folder(RESULTS) as folder:  # without what an earlier sweep has left
        write(outcome, folder)
    print(f"sweep: {outcome.choice.key}: {outcome.choice.reason}")
    print(f"sweep: {RESULTS}/report.html, trials.csv, best.yaml; `yolox sweep --apply` writes it into params.yaml")
    said = log.complete(sweep.runs(), sorted(RESULTS.iterdir()), {"map": max(one.mean for one in finalists)})
    if said:
        print(f"sweep: {said}", file=sys.stderr)
