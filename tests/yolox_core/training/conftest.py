"""One whole run, for all tests that only read what it left."""

from pathlib import Path

import pytest

from tests.yolox_core.training.small import last, small_job
from yolox_core.training.engine import EpochReport


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(scope="session")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> EpochReport:
    return last(small_job(data, checkpoints=tmp_path_factory.mktemp("undisturbed")))
