"""What workers do together: the only file that touches torch.distributed. With one worker all of it is free."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

Item = TypeVar("Item")


@dataclass(frozen=True)
class World:
    """This worker's place among all. The process group is the launcher's business."""

    rank: int = 0
    size: int = 1

    @classmethod
    def current(cls) -> "World":
        """The world of the process group that has been set up, or a lone worker."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """`tensor` summed over all workers, in place."""
        if self.size > 1:
            with self._together("a sum"):
                dist.all_reduce(tensor)
        return tensor

    def gather(self, items: Sequence[Item]) -> list[Item]:
        """Every worker's items, on every worker, in the order of ranks."""
        if self.size == 1:
            return list(items)
        gathered: list[Any] = [None] * self.size
        with self._together("a list of objects"):
            dist.all_gather_object(gathered, list(items))
        return [item for part in gathered for item in part]

    def from_first(self, value: Item) -> Item:
        """The first worker's value, on every worker."""
        if self.size == 1:
            return value
        holder: list[Any] = [value]
        with self._together("the first worker's word"):
            dist.broadcast_object_list(holder, src=0)
        result: Item = holder[0]
        return result

    def data_parallel(self, model: nn.Module) -> nn.Module:
        """`model` with gradients averaged over workers in backward; its buffers are left to each worker."""
        if self.size == 1:
            return model
        return DistributedDataParallel(model, broadcast_buffers=False)

    def without_averaging(self, model: nn.Module) -> AbstractContextManager[Any]:
        """For all but the last micro-batch of a step: gradients accumulate locally."""
        return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()

    @torch.no_grad()
    def average_buffers(self, model: nn.Module) -> None:
        """Batch-norm statistics become the mean over workers, so that every worker holds the same model."""
        if self.size == 1:
            return
        for buffer in model.buffers():
            if buffer.is_floating_point():
                with self._together("batch-norm statistics"):
                    dist.all_reduce(buffer)
                buffer.div_(self.size)

    @contextmanager
    def _together(self, what: str) -> Iterator[None]:
        """Name this worker and the occasion where it fails: torch's own line says neither."""
        try:
            yield
        except RuntimeError as failed:
            failed.add_note(f"worker {self.rank} of {self.size}, while all shared {what}")
            raise
