"""`yolox sweep`: show the plan, search here or on a cluster, or write the choice to params.yaml."""

import dataclasses

from pipeline.cluster.ray_cluster import ComputeConfig
from pipeline.config.settings import load_settings
from pipeline.stages.entrypoint import run_stage


def sweep(plan: bool, apply: bool, trials: int | None, submit: bool) -> None:
    """Apply the last choice, show the plan, submit the search or run it here, in this order of precedence."""
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
