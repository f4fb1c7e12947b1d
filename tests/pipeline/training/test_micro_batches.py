"""A batch that the workers cannot share, or that batch norm cannot use, is refused before anything starts."""

from typing import Any

import pytest

from pipeline.training.micro_batches import check_batch, images_at_once
from tests.yolox_core.training.small import small_recipe
from yolox_core.config import Recipe
from yolox_core.errors import InputError
from yolox_core.training.precision import bfloat16_speedup


def recipe(**train: Any) -> Recipe:
    sizes = {"multiscale": train.pop("multiscale", None)}
    return small_recipe(augment=sizes, **{"input_size": (32, 32), "micro_batch_size": None, **train})


@pytest.mark.parametrize(
    ("batch", "micro", "workers", "expected"),
    [(8, None, 2, (4, 4)), (8, 3, 1, (3, 2)), (8, 16, 1, (8, 8)), (8, 3, 2, (3, 1)), (1, None, 1, (1, 1))],
)
def test_shares_are_cut_as_the_engine_cuts_them(
    batch: int, micro: int | None, workers: int, expected: tuple[int, int]
) -> None:
    train = recipe(batch_size=batch, micro_batch_size=micro).train
    assert images_at_once(train, workers) == expected


@pytest.mark.parametrize(
    ("train", "workers"),
    [
        ({"batch_size": 1}, 1),
        ({"batch_size": 2}, 2),
        ({"batch_size": 4, "micro_batch_size": 3}, 1),
        ({"batch_size": 1, "input_size": (96, 96), "multiscale": (32, 96)}, 1),
    ],
)
def test_a_single_value_a_channel_is_refused(train: dict[str, Any], workers: int) -> None:
    with pytest.raises(InputError, match=r"train\.batch_size: expected two images at once or more at 32 x 32 px"):
        check_batch(recipe(**train), workers)


@pytest.mark.parametrize("train", [{"batch_size": 2}, {"batch_size": 1, "input_size": (32, 64)}])
def test_two_values_are_enough(train: dict[str, Any]) -> None:
    """The network itself says so."""
    check_batch(recipe(**train), workers=1)
    assert bfloat16_speedup(recipe(**train), images_at_once(recipe(**train).train, 1)[0], threads=1, steps=1) > 0


def test_batch_norm_that_is_frozen_takes_one() -> None:
    frozen = recipe(batch_size=1, freeze_batch_norm=True)
    check_batch(frozen, workers=1)
    assert bfloat16_speedup(frozen, images=1, threads=1, steps=1) > 0


def test_workers_share_a_batch_evenly() -> None:
    with pytest.raises(InputError, match=r"train\.batch_size: expected a multiple of the 3 workers, got 4\."):
        check_batch(recipe(batch_size=4), workers=3)
