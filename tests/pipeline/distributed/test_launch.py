"""Where a run works, from the environment. With a real cluster: tests/integration/test_refused_run.py."""

import pytest

from pipeline.distributed.launch import Hosting
from yolox_core.errors import InputError

NAMES = ("YOLOX_WORKERS", "YOLOX_LOADER_WORKERS", "YOLOX_GPU", "RAY_ADDRESS")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_the_default_is_one_worker_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("YOLOX_GPU", "0")
    assert Hosting.from_environment() == Hosting(workers=1, loader_workers=0, gpu=False, address=None)


def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"YOLOX_WORKERS": "4", "YOLOX_LOADER_WORKERS": "2", "YOLOX_GPU": "1", "RAY_ADDRESS": "head:6379"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    # a machine without CUDA may send its work to one that has it
    assert Hosting.from_environment() == Hosting(workers=4, loader_workers=2, gpu=True, address="head:6379")


def test_an_empty_address_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert Hosting.from_environment().address is None


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("YOLOX_WORKERS", "0", "at least 1, got '0'"),
        ("YOLOX_WORKERS", "two", "at least 1, got 'two'"),
        ("YOLOX_WORKERS", "", "at least 1, got ''"),
        ("YOLOX_WORKERS", "²", "at least 1, got '²'"),
        ("YOLOX_LOADER_WORKERS", "-1", "at least 0, got '-1'"),
        ("YOLOX_GPU", "yes", "auto, 0 or 1, got 'yes'"),
    ],
)
def test_a_wrong_value_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as refused:
        Hosting.from_environment()
    assert str(refused.value).startswith(f"{name}: expected ") and expected in str(refused.value)


def test_cores_are_shared_among_workers() -> None:
    assert Hosting(workers=1).cores_per_worker() >= 1
    assert Hosting(workers=10_000).cores_per_worker() == 1
