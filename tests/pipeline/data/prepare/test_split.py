"""Splits by content: stable, without copies across, and true to what the data set brings."""

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.data.prepare.split import split, split_fold
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.errors import InputError
from yolox_core.structures import Objects


def digests(*contents: object) -> list[str]:
    return [hashlib.sha256(str(content).encode()).hexdigest() for content in contents]


def records(splits: list[str | None]) -> DatasetRecords:
    images = [ImageRecord(index, f"{index}.jpg", 8, 8, split=name) for index, name in enumerate(splits)]
    return DatasetRecords(Path(), (Category(1, "cat"),), images)


def divide(
    splits: list[str | None], content: list[str], val: float = 0.0, test: float = 0.2, honour: bool = True
) -> dict[str, list[int]]:
    return split(records(splits), content, val=val, test=test, seed=0, honour=honour)


def side_of(chosen: dict[str, list[int]]) -> dict[int, str]:
    return {index: name for name, indices in chosen.items() for index in indices}


def test_shares_are_met_approximately() -> None:
    chosen = divide([None] * 2000, digests(*range(2000)), val=0.1, test=0.2)
    assert 160 < len(chosen["val"]) < 240 and 340 < len(chosen["test"]) < 460
    assert sorted(side_of(chosen)) == list(range(2000))


def test_no_image_changes_sides_when_others_are_added() -> None:
    few = side_of(divide([None] * 100, digests(*range(100)), val=0.2))
    many = side_of(divide([None] * 500, digests(*range(500)), val=0.2))
    assert all(many[index] == side for index, side in few.items())


def test_copies_stand_on_one_side() -> None:
    content = digests(*[index % 40 for index in range(200)])
    sides = side_of(divide([None] * 200, content, val=0.2))
    assert all(sides[index] == sides[index % 40] for index in range(200))


def test_each_image_is_tested_on_once_over_all_folds() -> None:
    content = digests(*[index % 90 for index in range(100)])
    sides = [side_of(split_fold(records([None] * 100), content, 5, fold, val=0.2, seed=0)) for fold in range(5)]
    for index in range(100):
        assert [side[index] for side in sides].count("test") == 1
    for side in sides:
        assert all(side[index] == side[index % 90] for index in range(100)), "copies stand together"
        assert {"train", "val", "test"} == set(side.values())
    more = side_of(split_fold(records([None] * 300), digests(*range(300)), 5, 2, val=0.2, seed=0))
    assert all(more[index] == sides[2][index] for index in range(90)), "others change nothing"


def test_a_fold_without_an_image_is_refused() -> None:
    with pytest.raises(InputError, match="at least one test image"):
        for fold in range(50):
            split_fold(records([None] * 3), digests(1, 2, 3), 50, fold, val=0.0, seed=0)


def test_a_brought_test_split_is_kept_as_it_is_and_copies_leave_train() -> None:
    chosen = divide(["train", "test", "train", None, "test"], digests("a", "b", "b", "c", "d"))
    assert chosen == {"train": [0, 3], "val": [], "test": [1, 4]}


def test_val_trains_unless_a_share_is_asked_for() -> None:
    own: list[str | None] = ["train", "val", "test"]
    assert divide(own, digests(*range(3))) == {"train": [0, 1], "val": [], "test": [2]}
    assert divide(own, digests(*range(3)), val=0.1) == {"train": [0], "val": [1], "test": [2]}


def test_val_is_carved_out_of_train_where_none_is_brought() -> None:
    own: list[str | None] = [*["train"] * 300, *["test"] * 50]
    chosen = divide(own, digests(*range(350)), val=0.3)
    assert chosen["test"] == list(range(300, 350))
    assert 60 < len(chosen["val"]) < 120 and len(chosen["train"]) + len(chosen["val"]) == 300


def test_train_and_val_mean_val_as_held_out() -> None:
    assert divide(["train", "val", "train"], digests(*range(3))) == {"train": [0, 2], "val": [], "test": [1]}


def test_a_split_that_is_not_honoured_or_holds_nothing_out_goes_by_content() -> None:
    content = digests(*range(100))
    plain = divide([None] * 100, content)
    assert divide([*["train"] * 50, *["test"] * 50], content, honour=False) == plain
    assert divide(["train"] * 100, content) == plain


@pytest.mark.parametrize("count", range(2, 12))
def test_few_images_still_give_both_sides(count: int) -> None:
    for test in (0.01, 0.5, 0.99):
        chosen = divide([None] * count, digests(*range(count)), test=test)
        assert chosen["train"] and chosen["test"]


def test_one_image_or_copies_of_one_are_refused() -> None:
    for content in (digests("a"), digests("a", "a", "a")):
        with pytest.raises(InputError, match=r"expected at least one \w+ image.*1 different"):
            divide([None] * len(content), content)


def test_a_brought_split_that_leaves_nothing_to_train_is_refused_with_what_helps() -> None:
    with pytest.raises(InputError, match=r"at least one train image.*set data\.split\.honour to false"):
        divide(["test"] * 4, digests(*range(4)))


def test_no_test_share_is_refused() -> None:
    with pytest.raises(InputError, match="expected at least one test image"):
        divide([None] * 50, digests(*range(50)), test=0.0)


def showing(labels: list[list[int]], classes: int) -> DatasetRecords:
    """Images that show these classes."""
    categories = tuple(Category(label + 1, f"class {label}") for label in range(classes))
    images = [
        ImageRecord(
            index,
            f"{index}.jpg",
            8,
            8,
            Objects.of(((1, 1, 5, 5), label, False) for label in shown),
        )
        for index, shown in enumerate(labels)
    ]
    return DatasetRecords(Path(), categories, images)


def of_class(data: DatasetRecords, chosen: dict[str, list[int]], label: int) -> dict[str, int]:
    labels = [image.objects.labels_G for image in data.images]
    return {side: sum(label in labels[index] for index in indices) for side, indices in chosen.items()}


@pytest.mark.parametrize("seed", range(20))
def test_every_class_of_three_images_or_more_stands_on_every_side(seed: int) -> None:
    """Half to twice its share, whatever the hash says; classes meet in images."""
    rng = np.random.default_rng(seed)
    counts = [2000, 300, 40, 12, 5, 3]
    labels = [[label] for label, count in enumerate(counts) for _ in range(count)]
    labels = [[*own, 0] if rng.random() < 0.3 and own != [0] else own for own in labels]
    data, content = showing(labels, len(counts)), digests(*(f"{seed} {index}" for index in range(len(labels))))
    chosen = split(data, content, val=0.1, test=0.2, seed=0, honour=True)
    assert sorted(side_of(chosen)) == list(range(len(labels)))
    for label in range(len(counts)):
        found = of_class(data, chosen, label)
        total = sum(found.values())
        assert found["train"] >= 1
        for side, share in (("val", 0.1), ("test", 0.2)):
            assert max(1, math.floor(share * total / 2)) <= found[side] <= max(1, math.floor(2 * share * total)), label


def test_a_class_too_rare_to_be_placed_holds_no_other() -> None:
    """A bird in three images; one of them shows the only egg, one the only nest."""
    labels = [[0]] * 60 + [[0, 1, 2], [0, 1, 3], [0, 1]]
    for seed in range(10):
        content = digests(*(f"{seed} {index}" for index in range(len(labels))))
        chosen = split(showing(labels, 4), content, val=0.2, test=0.2, seed=0, honour=True)
        assert of_class(showing(labels, 4), chosen, 1) == {"train": 1, "val": 1, "test": 1}


def test_what_a_rarer_class_reached_stays() -> None:
    """Three images show both classes; what the commoner one needs is taken from its others."""
    data = showing([[0]] * 60 + [[1]] * 9 + [[1, 2]] * 3, 3)
    for seed in range(200):
        content = digests(*(f"{seed} {index}" for index in range(len(data.images))))
        chosen = split(data, content, val=0.2, test=0.2, seed=0, honour=True)
        assert of_class(data, chosen, 2) == {"train": 1, "val": 1, "test": 1}


def test_groups_that_share_a_content_are_one() -> None:
    content = digests(*[0, 0, 2, 3, *range(4, 200)])
    alike = [["0.jpg", "2.jpg"], ["1.jpg", "3.jpg"]]
    for seed in range(20):
        sides = side_of(split(records([None] * 200), content, val=0.3, test=0.3, seed=seed, honour=True, alike=alike))
        assert sides[0] == sides[1] == sides[2] == sides[3]


def test_classes_of_many_images_change_nothing() -> None:
    content = digests(*range(600))
    plain = divide([None] * 600, content, val=0.1)
    assert (
        split(showing([[index % 3] for index in range(600)], 3), content, val=0.1, test=0.2, seed=0, honour=True)
        == plain
    )


def test_of_a_class_with_two_images_nothing_is_forced() -> None:
    content = digests(*range(100))
    data = showing([[1] if index in (7, 8) else [0] for index in range(100)], 2)
    assert split(data, content, val=0.0, test=0.2, seed=0, honour=True) == divide([None] * 100, content)


def test_pictures_that_copy_each_other_stand_on_one_side() -> None:
    content = digests(*range(400))
    alike = [[f"{index}.jpg", f"{index + 100}.jpg", f"{index + 200}.jpg"] for index in range(100)]
    given: dict[str, Any] = {"val": 0.2, "test": 0.2, "seed": 0, "honour": True}
    sides = side_of(split(records([None] * 400), content, **given, alike=alike))
    assert all(sides[index] == sides[index + 100] == sides[index + 200] for index in range(100))
    assert {"train", "val", "test"} == set(sides.values())
    plain = side_of(divide([None] * 400, content, val=0.2))
    assert all(sides[index] == plain[index] for index in range(300, 400)), "others stay"
    for fold in range(3):
        found = side_of(split_fold(records([None] * 400), content, 3, fold, val=0.2, seed=0, alike=alike))
        assert all(found[index] == found[index + 100] == found[index + 200] for index in range(100))


def test_pictures_of_one_camera_are_too_many_to_stand_together() -> None:
    content = digests(*range(200))
    camera = [[f"{index}.jpg" for index in range(150)]]
    given: dict[str, Any] = {"val": 0.0, "test": 0.2, "seed": 0, "honour": True}
    assert split(records([None] * 200), content, **given, alike=camera) == divide([None] * 200, content)
    pair = [["0.jpg", "1.jpg"]]
    few = divide([None] * 2, digests(0, 1))
    assert split(records([None] * 2), digests(0, 1), **given, alike=pair) == few, "nothing would be left to test on"
