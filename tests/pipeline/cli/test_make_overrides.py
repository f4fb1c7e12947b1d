"""What `make repro` is given reaches params.yaml through DVC's own writer, or is refused before."""

import shutil
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from pipeline.cli.make_overrides import arguments
from pipeline.config.overrides import PRESETS, preset_settings
from pipeline.config.settings import load_settings
from tests.needs import ROOT
from yolox_core.errors import InputError


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(words: list[str]) -> None:
    """Do what `dvc exp run -S ...` does to params.yaml."""
    assert words[::2] == ["-S"] * (len(words) // 2)
    apply_overrides("params.yaml", words[1::2])


@pytest.mark.parametrize("name", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_every_preset_can_be_written_and_read_again(name: str) -> None:
    expected = preset_settings(name, [])
    written(arguments([], preset=name))
    assert load_settings() == expected


def test_settings_given_by_hand_win_over_the_preset() -> None:
    written(arguments(["train.epochs=9", "train.freeze=[stem, dark2]"], preset="few-images"))
    settings = load_settings()
    assert settings.train.epochs == 9
    assert settings.train.freeze == ("stem", "dark2")


@pytest.mark.parametrize("path", ["{here}/a b/it's (x), y", "~/Übung", "C:\\images", "plain", "2024"])
def test_a_path_arrives_as_it_was_given(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = path.format(here=tmp_path)
    Path(path).expanduser().mkdir(parents=True)
    written(arguments([], data=path))
    assert load_settings().data.source == path


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("train.epoch=9", "Did you mean 'epochs'"),
        ("train.epochs", "expected key=value"),
        ("model.width=0.3", "Nearest legal"),
        ("seed.x=1", "'seed'"),
    ],
)
def test_a_slip_is_refused_and_changes_nothing(setting: str, says: str, project: Path) -> None:
    before = (project / "params.yaml").read_bytes()
    with pytest.raises(InputError, match=says):
        arguments([setting])
    assert (project / "params.yaml").read_bytes() == before


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="few-images"):
        arguments([], preset="few-image")


def test_presets_name_only_what_differs() -> None:
    for path in PRESETS.glob("*.yaml"):
        assert "data" not in yaml.safe_load(path.read_text(encoding="utf-8")), path


def test_data_that_is_not_there_is_refused_before_anything_is_written() -> None:
    with pytest.raises(InputError, match="no such folder"):
        arguments([], data="/nowhere/at/all")


@pytest.mark.parametrize("value", ["a${HOME}b", "ends in \\"])
def test_what_dvc_cannot_read_is_refused(value: str) -> None:
    with pytest.raises(InputError, match="by hand"):
        arguments([f"registry.name='{value}'"])
