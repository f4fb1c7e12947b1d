"""The precision of a run on CPUs where `train.precision` is auto: decided once, kept whenever the run is resumed.

The chosen precision is part of the run's recipe, and so of its identity and its checkpoints. A run in float32 keeps
the identity that it had before there was a choice.
"""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.cluster.ray_cluster import ComputeConfig
from pipeline.training.checkpoint_sync import run_checkpoints
from pipeline.training.micro_batches import images_at_once
from yolox_core.atomic_files import write_json
from yolox_core.config import Recipe
from yolox_core.errors import InputError
from yolox_core.inference.processor import computes_bfloat16, processor
from yolox_core.training import checkpoint

FolderOf = Callable[[Recipe], Path]  # where a recipe's run lies
FILE = "precision.json"  # in the run's folder: what was measured
LEAST_SPEEDUP = 1.15  # below it, exact float32 is worth more
LEAST_STEPS = 500  # of a run; measuring takes as long as about 20


def settled(recipe: Recipe, images: int, compute: ComputeConfig, folder_of: FolderOf) -> Recipe:
    """The recipe with the precision to train in; `images` are those of the training split.

    A run that has begun keeps its precision, whatever it is resumed on. A new one takes bfloat16 where this machine's
    CPU has AMX and ten steps of the run's own network show that it is at least 1.15 times as fast. On a cluster, whose
    nodes may have other CPUs, it is float32 unless `train.precision` is set.
    """
    begun, train = _begun(recipe, compute, folder_of), recipe.train
    few = train.epochs * math.ceil(images / train.batch_size) < LEAST_STEPS
    if begun or few or not _is_open(recipe, compute):
        return begun or recipe
    print("train: measuring bfloat16: ten steps in either precision", flush=True)  # takes minutes for a large network
    speedup, threads = _measured(recipe, compute)
    taken = _in_bfloat16(recipe) if speedup >= LEAST_SPEEDUP else recipe
    about = {"bfloat16_speedup": round(speedup, 2), "threads": threads, "processor": processor()}
    write_json(folder_of(taken) / FILE, about)
    name = precision(taken, compute.gpu)
    print(f"train: {name}; bfloat16 is {speedup:.2f} times as fast as float32 on this CPU", flush=True)
    return taken


def of_begun(recipe: Recipe, images: int, compute: ComputeConfig, folder_of: FolderOf) -> Recipe:
    """The recipe of a run that has begun, as `settled` returns it; otherwise `recipe`, without measuring."""
    return _begun(recipe, compute, folder_of) or recipe


def precision(recipe: Recipe, gpu: bool) -> str:
    """The precision in which this recipe trains its network: float32 or bfloat16."""
    given = recipe.train.precision
    return ("bfloat16" if gpu else "float32") if given == "auto" else given


def facts(folder: Path, recipe: Recipe, gpu: bool) -> dict[str, Any]:
    """The run's precision and, where it was measured, the speedup of bfloat16. InputError where its file is damaged."""
    path = folder / FILE
    try:
        speedup = json.loads(path.read_text(encoding="utf-8"))["bfloat16_speedup"] if path.is_file() else None
    except (ValueError, KeyError, TypeError) as damaged:
        raise InputError(f"{path}: expected JSON with bfloat16_speedup, got other text. Remove it.") from damaged
    return {"precision": precision(recipe, gpu), "bfloat16_speedup": speedup}


def _begun(recipe: Recipe, compute: ComputeConfig, folder_of: FolderOf) -> Recipe | None:
    """The recipe of the run that has begun, here or in the store; None where it has not."""
    choices = (recipe, _in_bfloat16(recipe)) if recipe.train.precision == "auto" else ()
    folders = [folder_of(choice) for choice in choices]
    for has_begun in (_has_begun, partial(_is_kept, compute)):  # the store is asked only if neither is here
        for choice, folder in zip(choices, folders, strict=True):
            if has_begun(folder):
                return choice
    return None


def _in_bfloat16(recipe: Recipe) -> Recipe:
    return replace(recipe, train=replace(recipe.train, precision="bfloat16"))


def _has_begun(folder: Path) -> bool:
    return (folder / FILE).is_file() or bool(checkpoint.in_order(folder / "checkpoints"))


def _is_kept(compute: ComputeConfig, folder: Path) -> bool:
    return compute.runs is not None and run_checkpoints(compute.runs, folder.name, folder).is_begun()


def _is_open(recipe: Recipe, compute: ComputeConfig) -> bool:
    train, here = recipe.train, not compute.gpu and compute.address is None
    return train.precision == "auto" and here and not train.compile and computes_bfloat16()


def _measured(recipe: Recipe, compute: ComputeConfig) -> tuple[float, int]:
    """How many times as fast bfloat16 is, with one worker's threads and its share of the batch."""
    from yolox_core.training.precision import bfloat16_speedup

    train, threads = recipe.train, recipe.train.threads or compute.cores_per_worker()
    return bfloat16_speedup(recipe, max(images_at_once(train, compute.workers)), threads), threads
