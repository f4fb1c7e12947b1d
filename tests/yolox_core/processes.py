"""Real workers on this machine, joined by gloo over loopback."""

import multiprocessing
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing


def in_processes(
    work: Callable[..., Any], folder: Path, *arguments: Any, workers: int = 2, timeout_s: float = 600
) -> list[Any]:
    """What `work(*arguments)` returns in each worker; tensors and plain containers only.

    `work` is a function of a module. `folder` is new or empty and becomes their meeting place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # imported once, in the server that all workers of all tests are forked from: half a minute on a busy machine
    multiprocessing.set_forkserver_preload(["yolox_core.training.step", "yolox_core.evaluation.evaluator", __name__])
    given = (workers, timeout_s, work, folder, arguments)
    torch.multiprocessing.start_processes(_worker, given, nprocs=workers, start_method="forkserver")
    return [torch.load(folder / f"result_{rank}.pt", weights_only=True) for rank in range(workers)]


def _worker(
    rank: int, workers: int, timeout_s: float, work: Callable[..., Any], folder: Path, arguments: tuple[Any, ...]
) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    meeting = f"file://{folder / 'meeting'}"
    dist.init_process_group("gloo", meeting, timedelta(seconds=timeout_s), rank=rank, world_size=workers)
    try:
        torch.save(work(*arguments), folder / f"result_{rank}.pt")
    finally:
        dist.destroy_process_group()
