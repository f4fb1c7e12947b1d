"""Two real workers on this machine, joined by gloo over loopback."""

import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing


def in_two_processes(work: Callable[..., Any], folder: Path, *arguments: Any) -> list[Any]:
    """What `work(*arguments)` returns in each of two workers; tensors and plain containers only.

    `work` is a function of a module. `folder` is empty and becomes their meeting place.
    """
    # imported once, in the server that both workers of all tests are forked from: half a minute on a busy machine
    multiprocessing.set_forkserver_preload(["yolox_core.train.step", "yolox_core.evaluation.evaluator", __name__])
    torch.multiprocessing.start_processes(_worker, (work, folder, arguments), nprocs=2, start_method="forkserver")
    return [torch.load(folder / f"result_{rank}.pt", weights_only=True) for rank in range(2)]


def _worker(rank: int, work: Callable[..., Any], folder: Path, arguments: tuple[Any, ...]) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2)
    try:
        torch.save(work(*arguments), folder / f"result_{rank}.pt")
    finally:
        dist.destroy_process_group()
