"""`yolox sweep`: what is to be searched, the search here or on a cluster, and its choice in params.yaml."""

import dataclasses

from pipeline.cluster.ray_cluster import ComputeConfig
from pipeline.config.settings import load_settings
from pipeline.stages.entrypoint import run_stage


def sweep(plan: bool, apply: bool, trials: int | None, submit: bool) -> None:
    """Do one of these."""
    if apply:
        from pipeline.sweep.apply import apply as write

        write()
        return
    compute = ComputeConfig.from_environment()
    compute = compute if trials is None else dataclasses.replace(compute, trials=trials)
    if plan:
        from pipeline.sweep.search import describe

        print(describe(load_settings(), compute))
    elif submit:
        from pipeline.cli.submit import submission
        from pipeline.sweep.submitted import submit_sweep

        there = submission(None)
        run_stage(lambda settings: submit_sweep(settings, compute, there))
    else:
        from pipeline.sweep.driver import sweep_space

        run_stage(lambda settings: sweep_space(settings, compute))
