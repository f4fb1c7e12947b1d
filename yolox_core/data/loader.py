"""From keys to batches, ahead of the consumer: in a background thread, or in worker processes that outlive epochs.

Keys say everything, so the number of workers changes speed only. Starting a worker costs seconds (it imports torch
anew: forking a process that has threads or CUDA is not safe), hence one `Loader` for a whole run.
"""

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing import get_context
from typing import Any, Generic, Protocol, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from yolox_core.data.batch import Batch
from yolox_core.data.collate import collate
from yolox_core.data.dataset import EvaluationSet
from yolox_core.errors import InputError
from yolox_core.structures import Sample

Key = TypeVar("Key")
AnyKey = TypeVar("AnyKey", contravariant=True)

PREFETCHED_BATCHES = 2  # per worker or thread; more costs memory and gains nothing where loading keeps up
TIMEOUT_S = 300.0  # longer than any batch takes; a network drive that is gone would hang for ever
START_METHOD = "forkserver"  # never fork: the process may be a Ray worker, with threads and CUDA


class Loads(Protocol[AnyKey]):
    """A data set: makes samples from keys."""

    def load(self, key: AnyKey, /) -> Sample:
        """The sample of `key`, the same in every process."""

    def divide_cache(self, workers: int) -> None:
        """Keep to one of `workers` equal parts of the memory allowed for decoded images."""


class Loader(Generic[Key]):
    """Makes batches of `dataset` in `workers` processes, or one thread where that is 0. Close it, or use `with`.

    `pinned`: in memory that a GPU fetches from without anybody waiting.
    """

    def __init__(self, dataset: Loads[Key], workers: int, timeout_s: float = TIMEOUT_S, pinned: bool = False) -> None:
        self._dataset = dataset
        self._pinned = pinned
        self._timeout_s = timeout_s
        self._plan: _Plan[Key] = _Plan()
        self._processes = _processes(dataset, self._plan, workers, timeout_s, pinned) if workers else None
        self._running: Generator[Batch, None, None] | None = None

    def batches(self, plan: Sequence[Sequence[Key]]) -> Generator[Batch, None, None]:
        """One batch for each list of keys, in order. An earlier iteration that is still open ends here.

        InputError where an image cannot be read; TimeoutError (or torch's RuntimeError) where a batch never comes.
        """
        self._stop_running()
        self._running = self._in_thread(plan) if self._processes is None else self._in_processes(plan, self._processes)
        return self._running

    def close(self) -> None:
        """End thread and worker processes; safe to repeat."""
        self._stop_running()
        processes, self._processes = self._processes, None
        iterator: Any = processes._iterator if processes is not None else None
        if iterator is not None:
            # torch has no public way; without it they live as long as anything, a traceback say, knows the iterator.
            iterator._shutdown_workers()

    def __enter__(self) -> "Loader[Key]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stop_running(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.close()

    def _in_thread(self, plan: Sequence[Sequence[Key]]) -> Generator[Batch, None, None]:
        pool = ThreadPoolExecutor(1, thread_name_prefix="loader")
        ahead: deque[Future[Batch]] = deque()
        hangs = False
        try:
            for number, keys in enumerate([*plan, *[None] * PREFETCHED_BATCHES]):
                if keys is not None:
                    ahead.append(pool.submit(_make_batch, self._dataset, keys, self._pinned))
                if number >= PREFETCHED_BATCHES:
                    try:
                        batch = ahead.popleft().result(self._timeout_s)
                    except TimeoutError as error:
                        hangs = True
                        error.add_note(f"loader: a batch took more than {self._timeout_s:.0f} s (thread)")
                        raise
                    yield batch
        finally:
            pool.shutdown(wait=not hangs, cancel_futures=True)

    def _in_processes(
        self, plan: Sequence[Sequence[Key]], processes: "DataLoader[Batch | _Refused]"
    ) -> Generator[Batch, None, None]:
        self._plan.batches = plan
        try:
            for batch in processes:
                if isinstance(batch, _Refused):
                    raise InputError(batch.message)
                yield batch
        except RuntimeError as error:
            error.add_note(f"loader: {processes.num_workers} worker processes, {self._timeout_s:.0f} s allowed a batch")
            raise


def evaluation_batches(
    dataset: EvaluationSet, indices: Sequence[int], batch_size: int, workers: int
) -> Generator[Batch, None, None]:
    """The images `indices` in order, the last batch as short as it comes."""
    starts = range(0, len(indices), batch_size)
    with Loader(dataset, workers) as loader:
        yield from loader.batches([list(indices[start : start + batch_size]) for start in starts])


def _make_batch(dataset: Loads[Key], keys: Sequence[Key], pinned: bool = False) -> Batch:
    batch = collate([dataset.load(key) for key in keys])
    return batch.pin_memory() if pinned else batch


class _Plan(Sampler[Any], Generic[Key]):
    """What torch asks for the next batch's keys; replaced every epoch while the workers live on."""

    def __init__(self) -> None:
        self.batches: Sequence[Sequence[Key]] = ()

    def __iter__(self) -> Iterator[Sequence[Key]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class _Refused:
    """An InputError on its way from a worker: torch would wrap its one line into a whole traceback."""

    def __init__(self, message: str) -> None:
        self.message = message


class _Batches(Dataset["Batch | _Refused"], Generic[Key]):
    """A data set of whole batches, as torch's fetcher wants it."""

    def __init__(self, dataset: Loads[Key]) -> None:
        self.dataset = dataset

    def __getitems__(self, keys: Sequence[Key]) -> "Batch | _Refused":
        try:
            return _make_batch(self.dataset, keys)
        except InputError as error:
            return _Refused(str(error))


def _processes(
    dataset: Loads[Key], plan: _Plan[Key], workers: int, timeout_s: float, pinned: bool
) -> "DataLoader[Batch | _Refused]":
    context = get_context(START_METHOD)
    context.set_forkserver_preload(["__main__", __name__])  # imported once, not once a worker
    return DataLoader(
        _Batches(dataset),
        batch_sampler=plan,
        num_workers=workers,
        collate_fn=_unchanged,
        timeout=timeout_s,
        worker_init_fn=_start_worker,
        multiprocessing_context=context,
        generator=torch.Generator(),  # of its own: torch draws a seed, and must not take it from the training's state
        prefetch_factor=PREFETCHED_BATCHES,
        persistent_workers=True,
        pin_memory=pinned,
    )


def _unchanged(batch: Any) -> Any:
    return batch


def _start_worker(_: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    info: Any = get_worker_info()
    info.dataset.dataset.divide_cache(info.num_workers)
