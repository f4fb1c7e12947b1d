"""A sweep as a job on a cluster that shares nothing but a store: what its trials read goes there, results come home."""

import dataclasses

from pipeline.cluster.ray_cluster import ComputeConfig
from pipeline.cluster.ray_job import Submission, submit
from pipeline.cluster.store import VARIABLE, Store
from pipeline.config.digests import value_sha256
from pipeline.config.params_file import read_params
from pipeline.config.settings import Settings
from pipeline.registry.model_reference import initial_weights
from pipeline.sweep.read_space import read_space
from pipeline.training.driver import plan, through_store
from pipeline.training.loop_config import TrainLoopConfig
from pipeline.training.order import SWEEP, Order, bring_home
from yolox_core.config import Recipe
from yolox_core.errors import InputError


def carry(settings: Settings, compute: ComputeConfig) -> TrainLoopConfig:
    """What every trial of a sweep reads, in the store; of the rest each trial has its own."""
    if compute.store is None:
        raise InputError(f"{VARIABLE}: expected the address that this machine and the cluster share, got none. Set it.")
    alone = dataclasses.replace(compute, workers=1, min_workers=None)
    config = plan(settings, alone, lambda recipe, *_: recipe)
    initial = initial_weights(settings.model, Recipe.from_dict(config.recipe).model)
    config = dataclasses.replace(config, initial=initial, threads=compute.threads or 1, runs=None)
    return through_store(config, compute, Store(compute.store), with_test=False)


def submit_sweep(settings: Settings, compute: ComputeConfig, submission: Submission) -> None:
    """Run the sweep of params.yaml as a job, follow it, and bring reports/sweep home."""
    plain = read_params()
    read_space(settings, plain)
    if compute.store is not None:
        Store(compute.store).check()
    config = carry(settings, dataclasses.replace(compute, threads=compute.threads or 1))
    store = Store(config.store)
    name = f"sweep-{settings.data_name}-{value_sha256([plain, config.files, config.threads])[:10]}"
    order = Order.of(settings, dataclasses.replace(config, name=name, recipe={}, spec={}), None)
    digest = order.with_stages(store, (SWEEP,)).sent(store)
    if not bring_home(store, name, digest):
        submit(submission, name, digest)
        if not bring_home(store, name, digest):
            raise InputError(f"{store.address}: expected the sweep's results, got none. Submit again.")
    print("sweep: reports/sweep: report.html, trials.csv, best.yaml; `yolox sweep --apply` writes it into params.yaml")
