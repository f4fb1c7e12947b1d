"""The table of rooms: what this project's may be, and that the script counts right."""

import pytest

from tests.architecture.rooms_table import arrows, floors, rooms, upward

MOST = {"yolox_core": (14, 7), "pipeline": (13, 7), "pipeline.data": (8, 5)}  # rooms, floors; _renamed is one, for now


@pytest.mark.parametrize("package", MOST)
def test_rooms_are_few_and_no_arrow_runs_up(package: str) -> None:
    found = arrows(package)
    assert not upward(found)
    assert len(rooms(package)) <= MOST[package][0] and floors(rooms(package), found) <= MOST[package][1]


def test_the_fewest_arrows_are_those_that_run_up() -> None:
    house = frozenset({("roof", "wall"), ("wall", "floor"), ("roof", "floor")})
    assert upward(house) == frozenset() and floors(["roof", "wall", "floor", "shed"], house) == 3
    assert upward(house | {("floor", "roof")}) == {("floor", "roof")}  # one arrow up instead of two down
    assert len(upward(house | {("floor", "roof"), ("floor", "wall")})) == 2
