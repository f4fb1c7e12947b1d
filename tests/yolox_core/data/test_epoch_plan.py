"""Every image is seen, every batch is whole, and neither depends on how many workers share it."""

import pytest

from yolox_core.data.epoch_plan import epoch_plan, shard, training_sizes
from yolox_core.errors import InputError

ONE_SIZE = training_sizes((416, 416), None)


@pytest.mark.parametrize(("count", "batch_size"), [(1, 1), (1, 8), (3, 8), (8, 8), (9, 8), (100, 16)])
def test_batches_are_whole_and_cover_every_image(count: int, batch_size: int) -> None:
    plan = epoch_plan(count, batch_size, epoch=2, seed=5, sizes=ONE_SIZE, closing=False)
    assert len(plan) == -(-count // batch_size)
    assert {len(batch) for batch in plan} == {batch_size}
    keys = [key for batch in plan for key in batch]
    assert [key.position for key in keys] == list(range(len(keys)))
    images = [key.image_index for key in keys]
    assert sorted(images[:count]) == list(range(count))
    assert images == (images[:count] * batch_size * 2)[: len(images)]
    assert {key.epoch for key in keys} == {2}


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(epoch: int, seed: int, batch_size: int = 4) -> list[int]:
        plan = epoch_plan(64, batch_size, epoch, seed, ONE_SIZE, closing=False)
        return [key.image_index for batch in plan for key in batch]

    assert order(0, 0) == order(0, 0) == order(0, 0, batch_size=8)
    assert len({tuple(order(epoch, seed)) for epoch in range(3) for seed in range(3)}) == 9


def test_sizes_are_legal_change_by_batch_and_rest_in_the_closing_phase() -> None:
    sizes = training_sizes((416, 640), (320, 512))
    assert sizes.drawn[0][0] == 320 and sizes.drawn[-1][0] == 512
    for height, width in sizes.drawn:
        assert height % 32 == 0 and width % 32 == 0
        assert abs(width - height * 640 / 416) <= 16
    plan = epoch_plan(1000, 4, 0, 0, sizes, closing=False)
    assert all(len({key.size for key in batch}) == 1 for batch in plan)
    assert {batch[0].size for batch in plan} == set(sizes.drawn)
    closing = epoch_plan(100, 4, 0, 0, sizes, closing=True)
    assert {(key.size, key.closing) for batch in closing for key in batch} == {((416, 640), True)}


@pytest.mark.parametrize("world", [1, 2, 3, 6])
def test_shares_make_up_the_batch(world: int) -> None:
    for batch in epoch_plan(20, 6, 0, 0, ONE_SIZE, closing=False):
        assert [key for rank in range(world) for key in shard(batch, rank, world)] == batch


def test_a_batch_that_does_not_divide_is_refused() -> None:
    with pytest.raises(InputError, match=r"multiple of the 4 workers, got 6"):
        shard(list(range(6)), 0, 4)


def test_no_images_are_refused() -> None:
    with pytest.raises(InputError, match="at least one image"):
        epoch_plan(0, 4, 0, 0, ONE_SIZE, closing=False)
