"""What was compared before is not compared again, and the answer is the same as if it were."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from pipeline.data.scan.duplicate_cache import DuplicateCache, pairs
from pipeline.data.scan.near_duplicates import SIDE, Rows, Search, Thumb

SIDES = ("train", "train", "train", "val", "test")


def picture(rng: np.random.Generator, others: Sequence[Thumb]) -> Thumb:
    """A new one, a copy of another, a flat one, or one that could not be opened."""
    kind = rng.random()
    if kind < 0.03:
        return np.zeros((0, 0), np.uint8)
    if kind < 0.06:
        return np.full((SIDE, SIDE), 90, np.uint8)
    if kind < 0.45 and others:
        one = others[int(rng.integers(0, len(others)))]
        if one.size:
            noise = rng.normal(0, rng.choice([0, 3, 9]), one.shape)
            return np.asarray((one[:, :: int(rng.choice([-1, 1]))] + noise).clip(0, 255), np.uint8)
    small = rng.integers(0, 256, (5, 5), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)


def changed(rng: np.random.Generator, thumbs: Sequence[Thumb], sides: Sequence[str]) -> tuple[list[Thumb], list[str]]:
    """Some pictures gone, added, replaced, or moved to another side of the split."""
    new_thumbs, new_sides = list(thumbs), list(sides)
    for _ in range(int(rng.integers(1, 8))):
        at, what = int(rng.integers(0, len(new_thumbs))), rng.integers(0, 4)
        if what == 0:
            del new_thumbs[at], new_sides[at]
        elif what == 1:
            new_thumbs.insert(at, picture(rng, new_thumbs))
            new_sides.insert(at, str(rng.choice(SIDES)))
        elif what == 2:
            new_thumbs[at] = picture(rng, new_thumbs)
        else:
            new_sides[at] = str(rng.choice(SIDES))
    return new_thumbs, new_sides


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each search compared with all before them."""
    counts: list[int] = []
    plain = Search.alike

    def alike(search: Search, rows: Rows) -> object:
        counts.append(len(rows))
        return plain(search, rows)

    monkeypatch.setattr(Search, "alike", alike)
    return counts


@pytest.mark.parametrize("seed", range(12))
def test_after_changes_the_answer_is_that_of_comparing_all(seed: int, looked_at: list[int]) -> None:
    rng = np.random.default_rng(seed)
    thumbs: list[Thumb] = []
    for _ in range(200):
        thumbs.append(picture(rng, thumbs))
    sides = [str(side) for side in rng.choice(SIDES, len(thumbs))]
    _, before = pairs(thumbs, sides)
    again = everything = 0
    for _ in range(6):
        thumbs, sides = changed(rng, thumbs, sides)
        looked_at.clear()
        found, before = pairs(thumbs, sides, DuplicateCache.from_bytes(before.to_bytes()))
        again += sum(looked_at)
        looked_at.clear()
        assert found == pairs(thumbs, sides)[0]
        everything += sum(looked_at)
    assert len(found) > 30 and again < 0.7 * everything, "rows are taken over"


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_among_many_that_are_alike_the_answer_does_not_depend_on_what_was_compared_before(noise: float) -> None:
    """More of them than are looked at, so that a rounding error would choose others."""
    rng = np.random.default_rng(1)
    thumbs = [np.array(picture(rng, ()), np.uint8) for _ in range(700)]
    for _ in range(4):
        places = rng.choice(len(thumbs), 80, replace=False)
        scene = cv2.resize(rng.integers(0, 256, (5, 5), dtype=np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        for at in places:
            thumbs[at] = (scene + rng.normal(0, noise, scene.shape)).clip(0, 255).astype(np.uint8)
    sides = [str(side) for side in rng.choice(["train", "val"], len(thumbs))]
    _, before = pairs(thumbs, sides)
    for _ in range(4):
        thumbs, sides = changed(rng, thumbs, sides)
        found, before = pairs(thumbs, sides, before)
        assert found == pairs(thumbs, sides)[0]
    front = [picture(rng, ()) for _ in range(3)]
    shifted, _ = pairs([*front, *thumbs], ["train"] * 3 + sides)
    assert [(pair.first - 3, pair.second - 3) for pair in shifted] == [(pair.first, pair.second) for pair in found]


def test_where_nothing_has_changed_nothing_is_compared(looked_at: list[int]) -> None:
    rng = np.random.default_rng(0)
    thumbs = [picture(rng, ()) for _ in range(50)] * 2
    found, before = pairs(thumbs)
    assert looked_at == [len([one for one in thumbs if one.size])]
    again, same = pairs(thumbs, None, before)
    assert again == found and len(found) >= 40 and same is before and len(looked_at) == 1


def test_in_another_order_all_are_compared(looked_at: list[int]) -> None:
    rng = np.random.default_rng(0)
    thumbs = [picture(rng, ()) for _ in range(40)]
    _, before = pairs(thumbs)
    turned = thumbs[::-1]
    assert pairs(turned, None, before)[0] == pairs(turned)[0]
    assert looked_at[0] == looked_at[1] > 30


def test_with_many_new_ones_all_are_compared(looked_at: list[int]) -> None:
    rng = np.random.default_rng(0)
    thumbs = [picture(rng, ()) for _ in range(60)]
    _, before = pairs(thumbs[:40])
    pairs(thumbs, None, before)
    assert looked_at[1] == len([one for one in thumbs if one.size])


def test_a_damaged_comparison_is_refused() -> None:
    rng = np.random.default_rng(0)
    thumbs: list[Thumb] = []
    for _ in range(40):
        thumbs.append(picture(rng, thumbs))
    data = pairs(thumbs)[1].to_bytes()
    for at in range(0, len(data), 97):
        with pytest.raises(ValueError, match="expected a comparison"):
            DuplicateCache.from_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
    for text in (b"", b"no comparison", data[:100]):
        with pytest.raises(ValueError, match="expected a comparison"):
            DuplicateCache.from_bytes(text)
