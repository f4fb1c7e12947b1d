"""The choice goes into params.yaml, and its comments stay."""

from pathlib import Path

import pytest
import yaml

from pipeline.config.settings import load_settings
from pipeline.sweep.apply import apply
from pipeline.sweep.trial import RESULTS
from tests.needs import ROOT
from yolox_core.errors import InputError


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def chosen(project: Path, **params: object) -> None:
    (project / RESULTS).mkdir(parents=True)
    (project / RESULTS / "best.yaml").write_text(yaml.safe_dump({"params": params}), encoding="utf-8")


def test_only_the_chosen_lines_change(project: Path) -> None:
    before = (project / "params.yaml").read_text(encoding="utf-8").splitlines()
    chosen(project, **{"model.width": 0.375, "assign.center_radius": 2.5, "augment.mixup_scale": [0.8, 1.2]})
    apply()
    after = (project / "params.yaml").read_text(encoding="utf-8").splitlines()
    added = [line for line in after if line not in before]
    removed = [line for line in before if line not in after]
    assert [line.strip() for line in removed] == ["width: 0.25", "center_radius: 1.5"]
    assert [line.strip() for line in added][:2] == ["width: 0.375", "center_radius: 2.5"]
    assert sum(line.count("#") for line in after) == sum(line.count("#") for line in before)
    settings = load_settings(project / "params.yaml")
    assert (settings.model.width, settings.assign.center_radius) == (0.375, 2.5)
    assert settings.augment.mixup_scale == (0.8, 1.2)


def test_a_section_without_anything_is_filled(project: Path) -> None:
    (project / "params.yaml").write_text("# mine\nmodel:\ntrain:\n  epochs: 30\n", encoding="utf-8")
    chosen(project, **{"model.width": 0.375, "assign.center_radius": 2.0})
    apply()
    written = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    assert written == {"model": {"width": 0.375}, "train": {"epochs": 30}, "assign": {"center_radius": 2.0}}


def test_a_second_time_changes_nothing(project: Path) -> None:
    chosen(project, **{"model.width": 0.375})
    apply()
    before = (project / "params.yaml").read_bytes()
    apply()
    assert (project / "params.yaml").read_bytes() == before


def test_without_a_choice_it_says_what_to_do(project: Path) -> None:
    with pytest.raises(InputError, match="Run `yolox sweep` first"):
        apply()


def test_what_is_not_legal_there_is_refused_and_nothing_written(project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    chosen(project, **{"model.width": 0.3})
    with pytest.raises(InputError, match="multiple of 1/64"):
        apply()
    assert (project / "params.yaml").read_bytes() == before
