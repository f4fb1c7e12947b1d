"""Batches on their way to a GPU, each copied while the one before is worked on."""

from collections.abc import Iterable, Iterator

import torch

from yolox_core.data.batch import Batch


def on_device(batches: Iterable[Batch], device: torch.device) -> Iterator[Batch]:
    """The batches on `device`. On CUDA the copies have a stream of their own; pinned batches wait for nothing."""
    if device.type != "cuda":
        yield from batches
        return
    copying = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    for batch in batches:
        with torch.cuda.stream(copying):
            moved = batch.to(device)
        working = torch.cuda.current_stream(device)
        working.wait_stream(copying)  # the device waits there, not this thread
        for tensor in moved.tensors():
            tensor.record_stream(working)  # its memory is not used again before the work is done
        yield moved
