"""What starts Ray, a server or a training is marked by its code (tests/starts.py): `make test-fast` leaves it out."""

import functools
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.cluster.ray_cluster import ComputeConfig, cluster
from tests import servers
from tests.starts import MARKERS, STARTERS, started_by
from tests.yolox_core.training.small import small_job, small_recipe
from yolox_core.training.engine import train


def prepares(folder: Path) -> Any:
    return small_job(folder, small_recipe())


def trains(folder: Path) -> Any:
    return train(small_job(folder))


def trains_in_a_helper(folder: Path) -> Any:
    return trains(folder)


def trains_in_an_inner_function(folder: Path) -> Any:
    return [lambda: trains(folder)]


class Base:
    def begin(self, folder: Path) -> Any:
        return trains(folder)


class Heir(Base):
    @property
    def nothing(self) -> None:
        return None


def trains_by_a_class(folder: Path) -> Any:
    return Heir().begin(folder)


@contextmanager
def serves_by_a_module(folder: Path) -> Iterator[Any]:
    with servers.s3_server(folder) as server:
        yield server


@functools.cache
def serves_and_trains(folder: Path) -> Any:
    with serves_by_a_module(folder):
        return trains(folder)


def joins(folder: Path) -> None:
    with cluster(ComputeConfig(workers=1)):
        prepares(folder)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (prepares, set()),
        (trains, {"training"}),
        (trains_in_a_helper, {"training"}),
        (trains_in_an_inner_function, {"training"}),
        (trains_by_a_class, {"training"}),
        (serves_by_a_module, {"server"}),
        (serves_and_trains, {"server", "training"}),
        (joins, {"ray"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_started_is_found(function: Callable[..., Any], expected: set[str]) -> None:
    assert started_by([function]) == expected


@pytest.fixture
def trained() -> Callable[[Path], Any]:
    return trains_in_a_helper


def test_a_test_has_the_marker_of_its_fixture(trained: object, request: pytest.FixtureRequest) -> None:
    assert [name for name in MARKERS if request.node.get_closest_marker(name)] == ["training"]


def test_a_test_that_starts_nothing_has_none(request: pytest.FixtureRequest) -> None:
    assert not [name for name in MARKERS if request.node.get_closest_marker(name)]


@pytest.mark.parametrize("name", STARTERS)
def test_what_is_looked_for_is_there(name: str) -> None:
    """Who renames it would otherwise take the marker from every test that starts it."""
    module, _, word = name.rpartition(".")
    found = getattr(importlib.import_module(module), word)
    assert f"{found.__module__}.{found.__qualname__}" == name and STARTERS[name] in MARKERS
