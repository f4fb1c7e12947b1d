"""`yolox repro` writes its settings into params.yaml, or refuses in one line before anything starts."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.cli.repro.checks import check_place
from pipeline.cli.repro.command import new_params
from pipeline.config.override_words import split_settings
from pipeline.config.overrides import PRESETS, preset_settings
from pipeline.config.project_lock import project_run_lock
from pipeline.config.settings import Settings, load_settings
from tests import needs
from tests.needs import ROOT
from yolox_core.errors import InputError

YOLOX = str(Path(sys.executable).with_name("yolox"))


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enough of a project to be refused in; nothing of it is ever run."""
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copyfile(ROOT / name, root / name)
    monkeypatch.chdir(root)
    return root


def written(text: str = "", data: str | None = None, preset: str | None = None) -> Settings:
    """The settings after what SET, DATA and PRESET say was written into params.yaml."""
    Path("params.yaml").write_text(new_params(split_settings(text), data, preset), encoding="utf-8")
    return load_settings()


def refused(*words: str, wrapper: tuple[str, ...] = ()) -> str:
    """The one line with which the command refuses, having changed no file."""
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and path.suffix != ".lock"}
    command = [*wrapper, YOLOX, "repro", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file() and path.suffix != ".lock"}
    assert done.returncode == 2 and done.stdout == "", done
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
    assert after == before
    return done.stderr


@pytest.mark.parametrize("name", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_every_preset_can_be_written_and_read_again(name: str) -> None:
    expected = preset_settings(name, [])
    assert written(preset=name) == expected


def test_settings_given_by_hand_win_over_the_preset() -> None:
    settings = written("train.epochs=9 train.freeze=[stem, dark2]", preset="few-images")
    assert settings.train.epochs == 9
    assert settings.train.freeze == ("stem", "dark2")


@pytest.mark.parametrize(
    "path", ["{here}/a b/it's (x), y", "~/Übung", "C:\\images", "plain", "2024", "a${{HOME}}", "yes"]
)
def test_a_path_arrives_as_it_was_given(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = path.format(here=tmp_path)
    Path(path).expanduser().mkdir(parents=True)
    assert written(data=path).data.source == path


def test_mappings_lists_and_text_arrive(project: Path) -> None:
    (project / "images").mkdir()
    settings = written(
        "augment.albumentations=[{name:HorizontalFlip,p:0.5}] data.source={path:images,classes:{cat:pet}}"
    )
    assert settings.augment.albumentations == ({"name": "HorizontalFlip", "p": 0.5},)
    assert settings.data.sources[0].classes == {"cat": "pet"}
    for name in ("my model", "it's", "a${HOME}b", "ends in \\", 'a "b"'):
        assert written("registry.name=" + json.dumps(name)).registry.name == name


def test_numbers_are_what_people_mean() -> None:
    settings = written("seed=010 data.synthetic.images=1e3 train.learning_rate=1e-3")
    assert (settings.seed, settings.data.synthetic.images, settings.train.learning_rate) == (10, 1000, 0.001)


def test_nothing_given_changes_nothing(project: Path) -> None:
    assert new_params([], None, None) == (project / "params.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("train.epoch=9", "Did you mean 'epochs'"),
        ("train.epochs", "expected key=value"),
        ("model.width=0.3", "Nearest legal"),
        ("seed.x=1", "'seed'"),
        ("train.freeze=[stem", "Check its quotes and brackets"),
    ],
)
def test_a_slip_is_refused_and_changes_nothing(setting: str, says: str) -> None:
    assert says in refused("train.epochs=9", setting)


def test_an_unknown_preset_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="few-images"):
        new_params([], None, "few-image")


def test_presets_name_only_what_differs() -> None:
    for path in PRESETS.glob("*.yaml"):
        assert "data" not in yaml.safe_load(path.read_text(encoding="utf-8")), path


def test_data_that_is_not_there_is_refused_before_anything_is_written() -> None:
    assert "no such" in refused("--data", "/nowhere/at/all")


@pytest.mark.parametrize("place", ["data", "runs", "models", ".dvc/cache", "mlflow.db", "dvc.lock"])
def test_a_link_to_a_disk_that_is_not_there(project: Path, place: str) -> None:
    shutil.rmtree(project / place, ignore_errors=True)
    (project / place).unlink(missing_ok=True)
    (project / place).symlink_to(project / "unmounted" / "disk")
    assert f"{place}: expected a place to write to, got a link to " in refused()


@pytest.mark.parametrize("place", ["data", "runs", "reports", ".dvc/cache"])
def test_a_file_where_a_folder_is_to_be(project: Path, place: str) -> None:
    shutil.rmtree(project / place, ignore_errors=True)
    (project / place).touch()
    assert f"{place}: expected a folder or nothing, got a file. Move it away." in refused()


def test_a_folder_where_a_file_is_to_be(project: Path) -> None:
    (project / "mlflow.db").mkdir()
    assert "mlflow.db: expected a file or nothing, got a folder" in refused()


def test_a_project_may_be_called_as_a_file_of_dvc(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.rename(project.parent / "lock"))
    check_place()


def test_a_setting_that_is_given_twice(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(f"{before}\nseed: 3\n")
    assert "params.yaml: not YAML: seed is given twice, in lines " in refused()


def test_a_folder_that_is_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    (project / "dvc.yaml").unlink()
    assert "dvc.yaml: no such file" in refused()


def test_a_second_run_names_the_first() -> None:
    with project_run_lock():
        line = refused("seed=99")
    assert f"process {os.getpid()}, since 20" in line and f"kill {os.getpid()}" in line


def test_another_dvc_at_work_is_named(project: Path) -> None:
    (project / ".dvc/tmp").mkdir()
    lock = project / ".dvc/tmp/lock"
    lock.write_text(" 4711\n")
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "another DVC command works in this project (process 4711)" in refused("seed=99")


@pytest.fixture
def by_its_modes() -> tuple[str, ...]:
    """A command before others, by which the modes of files hold for root, too."""
    if os.getuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("needs path /usr/bin/setpriv: util-linux is not installed")
    without = "-dac_override,-dac_read_search"
    return ("setpriv", f"--bounding-set={without}", f"--inh-caps={without}")


def test_data_that_this_user_may_not_read(by_its_modes: tuple[str, ...], project: Path) -> None:
    closed = project.parent / "closed"
    closed.mkdir(mode=0o000)
    line = refused("--data", str(closed), wrapper=by_its_modes)
    assert f"{closed}: expected a place that may be read by this user" in line and "chmod" in line
    assert "may not read its parent folders" in refused("--data", str(closed / "images"), wrapper=by_its_modes)


@pytest.mark.parametrize("place", [".", ".dvc", "data"])
def test_a_place_that_this_user_may_not_write(by_its_modes: tuple[str, ...], project: Path, place: str) -> None:
    (project / place).mkdir(exist_ok=True)
    (project / place).chmod(0o555)
    try:
        assert "may write to" in refused("seed=1", wrapper=by_its_modes)
    finally:
        (project / place).chmod(0o755)


def test_a_read_only_file_system(project: Path) -> None:
    script = 'mount --bind "$PWD" "$PWD" && mount -o remount,bind,ro "$PWD" && cd "$PWD" && exec "$@"'
    assert "read-only file system" in refused("seed=1", wrapper=tuple(needs.mounting(script)))
