"""Same keys, same bytes, whoever makes them; nothing capped, nothing leaked, and errors that name the image."""

import multiprocessing
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.yolox_core.batches import training_batches
from tests.yolox_core.data.conftest import MakeRecords
from yolox_core.config import AugmentConfig
from yolox_core.data import image_cache
from yolox_core.data.batch import Batch
from yolox_core.data.collate import collate
from yolox_core.data.dataset import EvaluationSet, SampleKey, TrainingSet
from yolox_core.data.epoch_plan import epoch_plan, shard, training_sizes
from yolox_core.data.image_io import read_image
from yolox_core.data.loader import Loader, evaluation_batches
from yolox_core.errors import InputError
from yolox_core.structures import ImageArray, Sample

SIZES = training_sizes((64, 96), (64, 128))
ONE_SIZE = training_sizes((64, 64), None)
BOXES = [[(10, 10, 60, 70)], [(5, 5, 40, 60), (20, 20, 70, 75)], [], [(0, 0, 150, 90)], [(3, 3, 30, 30)]]


def bytes_of(batch: Batch) -> bytes:
    targets = batch.targets
    tensors = (batch.images_BCHW, targets.boxes_BG4, targets.labels_BG, targets.valid_BG, targets.ignore_BG)
    plain = [(tuple(tensor.shape), tensor.numpy().tobytes()) for tensor in tensors]
    return pickle.dumps((plain, batch.image_ids, batch.source_sizes, batch.scales))


def test_workers_do_not_change_a_byte(make_records: MakeRecords) -> None:
    dataset = TrainingSet(make_records(*BOXES), AugmentConfig(mosaic=0.7, mixup=0.5), seed=3)
    state = torch.get_rng_state()
    epochs = [epoch_plan(5, 2, epoch, 3, SIZES, closing=epoch == 2) for epoch in range(3)]
    made = []
    for workers in (0, 1, 2):
        with Loader(dataset, workers) as loader:
            next(loader.batches(epochs[0]))  # left open: the next epoch must not get its leftovers
            made.append([[bytes_of(batch) for batch in loader.batches(plan)] for plan in epochs])
    assert made[0] == made[1] == made[2]
    assert len({each for epoch in made[0] for each in epoch}) == 9
    assert torch.equal(state, torch.get_rng_state())
    assert not multiprocessing.active_children()


def test_world_size_does_not_change_what_is_in_a_batch(make_records: MakeRecords) -> None:
    dataset = TrainingSet(make_records(*BOXES), AugmentConfig(), seed=0)
    plan = epoch_plan(5, 4, 1, 0, SIZES, closing=False)
    whole = list(training_batches(dataset, plan, workers=0))
    parts = [list(training_batches(dataset, [shard(keys, rank, 2) for keys in plan], workers=0)) for rank in (0, 1)]
    for index, batch in enumerate(whole):
        halves = [parts[rank][index] for rank in (0, 1)]
        assert torch.equal(torch.cat([half.images_BCHW for half in halves]), batch.images_BCHW)
        assert sum(int(half.targets.valid_BG.sum()) for half in halves) == int(batch.targets.valid_BG.sum())


def test_cache_changes_speed_only(make_records: MakeRecords) -> None:
    records = make_records(*BOXES)
    plan = epoch_plan(5, 5, 0, 0, SIZES, closing=False) * 2
    kept = TrainingSet(records, AugmentConfig(), 0)
    full = TrainingSet(records, AugmentConfig(), 0, cache_bytes=20_000)
    none = TrainingSet(records, AugmentConfig(), 0, cache_bytes=0)
    made = [[bytes_of(batch) for batch in training_batches(each, plan, 0)] for each in (kept, full, none)]
    assert made[0] == made[1] == made[2]
    assert kept.images.decoded.used_bytes > 20_000 >= full.images.decoded.used_bytes > 0
    assert none.images.decoded.used_bytes == 0
    assert pickle.loads(pickle.dumps(kept)).images.decoded.used_bytes == 0


def test_closing_phase_is_a_letterbox(make_records: MakeRecords) -> None:
    still = AugmentConfig(hsv=0, flip=0, mixup=1)
    records = make_records(*BOXES)
    sample = TrainingSet(records, still, 0).load(SampleKey(0, 0, 1, (70, 40), closing=True))
    expected = EvaluationSet(records, (70, 40)).load(1)
    np.testing.assert_array_equal(sample.image, expected.image)
    np.testing.assert_array_equal(sample.objects.boxes_G4, expected.objects.boxes_G4)
    np.testing.assert_allclose(sample.objects.boxes_G4, np.array(BOXES[1]) / 2)
    assert sample.scale == 0.5 and sample.source_size == (140, 80) and sample.image_id == 101


@pytest.mark.timeout(60)
def test_mixup_ends_where_no_image_has_a_box(make_records: MakeRecords) -> None:
    dataset = TrainingSet(make_records([], []), AugmentConfig(mixup=1.0), 0)
    (batch,) = training_batches(dataset, epoch_plan(2, 4, 0, 0, SIZES, closing=False), 0)
    assert batch.targets.boxes_BG4.shape == (4, 0, 4)
    assert batch.targets.valid_BG.shape == (4, 0)


def test_three_hundred_objects_survive(make_records: MakeRecords) -> None:
    many = [(float(x), float(y), x + 4.0, y + 4.0) for x in range(0, 140, 7) for y in range(0, 75, 5)]
    assert len(many) == 300
    records = make_records(many, [(1, 1, 50, 50)], [])
    (batch,) = evaluation_batches(EvaluationSet(records, (90, 150)), [0, 1, 2], 3, workers=0)
    assert batch.targets.valid_BG.sum(dim=1).tolist() == [300, 1, 0]
    np.testing.assert_array_equal(batch.targets.boxes_BG4[0].numpy(), np.array(many, np.float32))
    closing = TrainingSet(records, AugmentConfig(flip=0), 0).load(SampleKey(0, 0, 0, (90, 150), closing=True))
    assert len(closing.objects) == 300


def test_ignored_regions_are_not_objects(make_records: MakeRecords) -> None:
    records = make_records([(1, 1, 50, 50), (5, 5, 70, 70)], ignore=True)
    (batch,) = evaluation_batches(EvaluationSet(records, (64, 64)), [0], 1, 0)
    assert not batch.targets.valid_BG.any() and batch.targets.ignore_BG.all()
    assert not batch.targets.labels_BG.any()


def test_collated_images_are_the_samples(make_records: MakeRecords) -> None:
    dataset = EvaluationSet(make_records(*BOXES), (64, 96))
    samples: list[Sample] = [dataset.load(index) for index in range(5)]
    batch = collate(samples)
    assert batch.images_BCHW.dtype == torch.uint8 and batch.images_BCHW.is_contiguous()
    for sample, image in zip(samples, batch.images_BCHW, strict=True):
        np.testing.assert_array_equal(image.numpy(), sample.image.transpose(2, 0, 1))


def test_evaluation_takes_each_index_once_in_order(make_records: MakeRecords) -> None:
    dataset = EvaluationSet(make_records(*BOXES), (64, 64))
    batches = list(evaluation_batches(dataset, [4, 0, 3, 1, 2], 2, workers=0))
    assert [batch.image_ids for batch in batches] == [(104, 100), (103, 101), (102,)]
    assert list(evaluation_batches(dataset, [], 2, workers=0)) == []


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_image_is_named(make_records: MakeRecords, workers: int) -> None:
    records = make_records(*BOXES)
    Path(records.image_root, "image 3.png").write_bytes(b"not an image")
    dataset = EvaluationSet(records, (64, 64))
    with Loader(dataset, workers) as loader:
        batches = loader.batches([[0, 1], [2, 3], [4]])
        assert next(batches).image_ids == (100, 101)
        with pytest.raises(InputError, match=r"image 3\.png") as refused:
            next(batches)
        assert "Traceback" not in str(refused.value)
        assert [batch.image_ids for batch in loader.batches([[4]])] == [(104,)]  # and the loader still works


@pytest.mark.parametrize("workers", [0, 1])
def test_a_consumer_that_stops_early_leaves_nothing_behind(make_records: MakeRecords, workers: int) -> None:
    dataset = TrainingSet(make_records(*BOXES), AugmentConfig(), 0)
    batches = training_batches(dataset, epoch_plan(5, 1, 0, 0, SIZES, closing=False) * 20, workers)
    next(batches)
    batches.close()
    assert not multiprocessing.active_children()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


def test_a_batch_that_never_comes_is_a_timeout() -> None:
    class Stuck:
        def load(self, key: int) -> Sample:
            time.sleep(1)
            raise AssertionError("not reached in time")

        def divide_cache(self, workers: int) -> None: ...

    with Loader(Stuck(), 0, timeout_s=0.05) as loader, pytest.raises(TimeoutError) as late:
        next(loader.batches([[0]]))
    assert "loader" in late.value.__notes__[0]


def test_a_negative_seed_is_refused(make_records: MakeRecords) -> None:
    with pytest.raises(InputError, match="seed"):
        TrainingSet(make_records([]), AugmentConfig(), -1)


def test_a_pool_decodes_each_image_once_an_epoch_and_keeps_within_its_memory(
    make_records: MakeRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mosaic and mixup of pools of four, eight images of which six fit: 8 decoded instead of 40."""
    records = make_records(*[[(1, 1, 50, 50)] if index else [] for index in range(8)])
    asked: list[Path] = []

    def counted(path: Path, *how: Any) -> ImageArray:
        asked.append(path)
        return read_image(path, *how)

    monkeypatch.setattr(image_cache, "read_image", counted)
    limit = 6 * 64 * 64 * 3
    dataset = TrainingSet(records, AugmentConfig(mosaic_pool=4, mixup=1.0), seed=1, cache_bytes=limit)
    for epoch in range(3):
        asked.clear()
        for _ in training_batches(dataset, epoch_plan(8, 4, epoch, 1, ONE_SIZE, closing=False), 0):
            assert dataset.images.decoded.used_bytes <= limit
        assert len(asked) <= len(records.images) + 4  # some may still be there from the epoch before, or come twice


def test_a_pool_is_the_neighbours_in_the_epochs_order(make_records: MakeRecords) -> None:
    """Over epochs every image meets every other one, as often as chance has it."""
    records = make_records(*[[(1, 1, 50, 50)]] * 12)
    dataset = TrainingSet(records, AugmentConfig(mosaic_pool=4), seed=1)
    met = np.zeros((12, 12), int)
    for epoch in range(300):
        for keys in epoch_plan(12, 4, epoch, 1, ONE_SIZE, closing=False):
            for key in keys:
                pool = dataset._pool(key)
                assert len(pool) == 4 and key.image_index in pool
                met[key.image_index, pool] += 1
    others = met[~np.eye(12, dtype=bool)]
    assert (np.diag(met) == 300).all()
    assert others.min() > 60 and others.max() < 110  # 300 * 3 / 11 = 82, give or take four standard deviations


def test_a_pool_makes_the_same_samples_in_any_number_of_workers(make_records: MakeRecords) -> None:
    records = make_records(*BOXES, *BOXES)
    plan = epoch_plan(10, 5, 0, 0, SIZES, closing=False)
    config = AugmentConfig(mosaic_pool=4, mixup=0.5)
    made = [
        [
            bytes_of(batch)
            for batch in training_batches(TrainingSet(records, config, 0, cache_bytes=room), plan, workers)
        ]
        for room, workers in ((1 << 20, 0), (0, 0), (1 << 20, 2))
    ]
    assert made[0] == made[1] == made[2]
