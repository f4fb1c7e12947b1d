"""What earlier stages left is read whole, or refused by the name of the stage to run again."""

from pathlib import Path

import pytest

from pipeline.config import paths
from pipeline.config.stage_reports import read_cost, read_report
from tests.yolox_core.conftest import SPEC
from yolox_core.errors import InputError
from yolox_core.export.model_cost import size_of

DAMAGED = ["", "{", "3", "null", "[3]", '["abc"]', '[{"code": "a"}]', "[" * 5000, "\0\0"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("text", [*DAMAGED, "{}", '{"run": null}'])
def test_a_damaged_report_is_told_in_one_line(project: Path, text: str) -> None:
    paths.TRAINING.parent.mkdir()
    paths.TRAINING.write_text(text)
    with pytest.raises(InputError, match=r"reports/training.json: damaged .*Run stage train again: `dvc repro train`"):
        read_report(paths.TRAINING, "run")


def test_a_report_that_is_whole_is_read(project: Path) -> None:
    paths.TRAINING.parent.mkdir()
    paths.TRAINING.write_text('{"run": "data-1"}')
    assert read_report(paths.TRAINING, "run") == {"run": "data-1"}


@pytest.mark.parametrize("report", [None, '{"cost": "x"}', "{}", '{"forms": {}}'])
def test_a_cost_that_no_report_says_is_counted(project: Path, report: str | None) -> None:
    if report:
        paths.EXPORT.parent.mkdir()
        paths.EXPORT.write_text(report)
    assert read_cost(SPEC) == size_of(SPEC)


def test_a_cost_is_read_where_the_export_stage_counted_it(project: Path) -> None:
    paths.EXPORT.parent.mkdir()
    paths.EXPORT.write_text('{"cost": {"parameters": 12.0, "gflops": 0.5}}')
    assert read_cost(SPEC) == {"parameters": 12.0, "gflops": 0.5}
