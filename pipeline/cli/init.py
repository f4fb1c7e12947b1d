"""`yolox init FOLDER`: a project of one's own on the installed package.

Its files are those of this repository (pipeline/project/ links to them, a wheel holds copies); only what depends on the
code's files depends on the package's release instead.
"""

import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import yaml

from pipeline.config.overrides import preset_values
from pipeline.config.paths import PACKAGE
from pipeline.config.settings import settings_from
from pipeline.config.source_spec import SYNTHETIC, SourceSettings
from pipeline.config.user_paths import user_path
from pipeline.config.yaml_editor import YamlEditor
from pipeline.console.extras import DISTRIBUTION, require_installed
from yolox_core.atomic_files import write_text
from yolox_core.errors import InputError, on_one_line

SHIPPED = Path(__file__).parents[1] / "project"
CODE = ("pipeline/", "yolox_core")
HEADER = """\
# The only file to edit to change a run: `yolox repro` then runs what depends on it. Where and on what it runs (workers,
# GPUs, addresses) is not here, but in the environment and the options of `yolox train`.
"""
GRAPH_HEADER = """\
# From a folder of annotated images to a registered detector: `yolox repro`. Written by `yolox init`.
"""
OURS = ("dvc.yaml", "params.yaml", ".dvc")  # where one of these is, there is a project
IGNORES = (".gitignore", ".dvcignore", ".rayignore")


def create(folder: Path, data: str | None, preset: str | None) -> None:
    """Make the project; InputError, and nothing written, where there is one or the data are not there."""
    root = user_path(folder)
    taken = next((name for name in OURS if (root / name).exists()), None)
    if taken or (root.exists() and not root.is_dir()):
        raise InputError(f"{folder}: expected a folder without a project, got {taken or 'a file'}. Take another one.")
    require_installed("dvc")
    parameters = params_text(_source(data), preset)
    root.mkdir(parents=True, exist_ok=True)
    _init_dvc(root)
    for name in IGNORES:
        _add(root / name, shipped(name))
    write_text(root / ".dvc/config", _config(root / ".dvc/config"))
    write_text(root / ".dvc/plots/confusion_counts.json", shipped("confusion_counts.json"))
    if not (root / "README.md").exists():
        told = {"{{ name }}": root.resolve().name, "{{ version }}": version(DISTRIBUTION)}
        write_text(root / "README.md", _replaced(shipped("README.md"), told))
    write_text(root / "params.yaml", parameters)
    write_text(root / "dvc.yaml", graph_text())  # last: its presence makes the folder a project
    print(f"{on_one_line(str(folder))}: a project. Next: cd {shlex.quote(str(folder))} && yolox repro")


def shipped(name: str) -> str:
    """A file of a project as the package brings it."""
    return (SHIPPED / f"{name.removeprefix('.')}.j2").read_text(encoding="utf-8")


def graph_text() -> str:
    """dvc.yaml of this repository, its dependencies on code replaced by one on the release."""
    text = shipped("dvc.yaml")
    editor = YamlEditor(text[text.index("stages:") :])
    stages = editor.document["stages"]
    for stage in stages.values():
        if "deps" in stage:
            stage["deps"] = [str(PACKAGE), *(dep for dep in stage["deps"] if not dep.startswith(CODE))]
    package = {
        "desc": "which release of the package; runs every time, so that an upgrade is noticed",
        "cmd": "yolox package",
        "outs": [{str(PACKAGE): {"cache": False}}],
        "always_changed": True,
    }
    stages.insert(0, "package", package)
    return GRAPH_HEADER + editor.text()


def params_text(source: str | None, preset: str | None) -> str:
    """params.yaml of this repository with the preset's values and the user's data; checked."""
    text = shipped("params.yaml")
    editor = YamlEditor(HEADER + text[text.index("seed:") :])
    del editor.document["study"]  # its file belongs to the repository
    values = dict(preset_values(preset)) if preset else {}
    for name, value in (values | ({"data.source": source} if source else {})).items():
        editor.put(name, value)
    settings_from(yaml.safe_load(editor.text()))
    return editor.text()


def _source(data: str | None) -> str | None:
    if data is None or data == SYNTHETIC:
        return data
    source = SourceSettings(data)
    if source.is_remote:
        return data
    place = user_path(source.local_path).resolve()
    if not place.is_dir() and not (source.is_archive and place.is_file()):
        raise InputError(f"--data {data}: expected a folder of annotated images, got no such folder. Check the path.")
    return str(place)


def _init_dvc(root: Path) -> None:
    """Under git where it is installed, in a repository of its own where the folder lies in none; without git else."""
    if shutil.which("git") is None:
        option = ["--no-scm"]
    else:
        top = _output("git", "-C", str(root), "rev-parse", "--show-toplevel")
        if not top:
            _output("git", "-C", str(root), "init", "--quiet")
        option = ["--subdir"] if top and Path(top).resolve() != root.resolve() else []
    # a process of its own: DVC's logger keeps the streams that it found at its import
    dvc = [sys.executable, "-P", "-m", "dvc", "init", "--quiet", *option]
    done = subprocess.run(dvc, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{root}: DVC cannot be set up there: {done.stderr.strip()[:200]}.")


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _config(path: Path) -> str:
    """DVC's own settings of the project, and those of this repository."""
    own = path.read_text(encoding="utf-8")
    return shipped("config").replace("[core]\n", own if "[core]" in own else "[core]\n" + own, 1)


def _add(path: Path, text: str) -> None:
    """What a file of the user's holds stays, ours comes after it."""
    before = path.read_text(encoding="utf-8").rstrip("\n") + "\n\n" if path.is_file() else ""
    write_text(path, before + text)


def _replaced(text: str, told: dict[str, str]) -> str:
    for mark, value in told.items():
        text = text.replace(mark, value)
    return text
