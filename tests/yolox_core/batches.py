"""Batches of a training set, for tests that need no loader of a whole run."""

from collections.abc import Generator, Sequence

from yolox_core.data.batch import Batch
from yolox_core.data.dataset import SampleKey, TrainingSet
from yolox_core.data.loader import Loader


def training_batches(
    dataset: TrainingSet, keys: Sequence[Sequence[SampleKey]], workers: int
) -> Generator[Batch, None, None]:
    """The batches of `keys`, with a loader of their own."""
    with Loader(dataset, workers) as loader:
        yield from loader.batches(keys)
