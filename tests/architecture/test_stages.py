"""Changed code re-runs what it must: each DVC stage depends on every file of this project that its module imports."""

import posixpath
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.imports import closure, modules
from tests.needs import ROOT

COMMAND = re.compile(r"yolox (\w+)")


def stages() -> list[tuple[str, dict[str, Any]]]:
    """(where, stage) of every stage in dvc.yaml and in the pipelines under pipeline/."""
    found = []
    for path in [ROOT / "dvc.yaml", *sorted((ROOT / "pipeline").glob("*/dvc.yaml"))]:
        if path.is_file():
            for name, stage in yaml.safe_load(path.read_text(encoding="utf-8"))["stages"].items():
                found.append((f"{path.relative_to(ROOT)}:{name}", stage.get("do", stage)))
    return found


def uncovered(module: str, deps: list[str]) -> set[str]:
    """The files that `module` imports, directly or not, and that no entry of `deps` names or contains."""
    files = {
        str(modules()[name].relative_to(ROOT))
        for name in closure(module)
        if modules()[name].stat().st_size  # an empty __init__.py has nothing to change
    }
    return {file for file in files if not any(file == dep or file.startswith(f"{dep}/") for dep in deps)}


def test_there_are_stages() -> None:
    assert stages(), "dvc.yaml has no stages"


@pytest.mark.parametrize(("where", "stage"), stages(), ids=[where for where, _ in stages()])
def test_the_deps_of_a_stage_cover_its_imports(where: str, stage: dict[str, Any]) -> None:
    command = COMMAND.search(str(stage["cmd"]))
    assert command, f"{where}: cmd is not `yolox <stage>`"
    module = f"pipeline.stages.{command.group(1)}"
    assert module in modules(), f"{where}: there is no {module}"
    if stage.get("always_changed") or not stage.get("deps"):
        return  # DVC runs it every time
    assert not uncovered(module, rooted(where, stage)), f"{where}: add these to deps"


@pytest.mark.parametrize(("where", "stage"), stages(), ids=[where for where, _ in stages()])
def test_every_code_dependency_exists(where: str, stage: dict[str, Any]) -> None:
    code = [dep for dep in rooted(where, stage) if dep.startswith(("pipeline", "yolox_core"))]
    assert not [dep for dep in code if not (ROOT / dep).exists()]
    empty = [dep for dep in code if (ROOT / dep).is_file() and not (ROOT / dep).stat().st_size]
    assert not empty, f"{where}: DVC warns of empty files in each run; leave these out of deps"


def rooted(where: str, stage: dict[str, Any]) -> list[str]:
    """A stage's deps relative to the project's root: they count from its `wdir`, which counts from its dvc.yaml."""
    base = posixpath.join(str(Path(where.split(":")[0]).parent), stage.get("wdir", "."))
    return [posixpath.normpath(posixpath.join(base, str(dep))) for dep in stage.get("deps", [])]


def test_a_missing_dependency_is_found() -> None:
    """The check itself: settings.py imports yolox_core/config.py, which imports errors.py."""
    assert uncovered("pipeline.config.settings", ["pipeline"]) >= {"yolox_core/config.py", "yolox_core/errors.py"}
    assert "yolox_core/errors.py" in uncovered("pipeline.config.settings", ["pipeline", "yolox_core/config.py"])
    assert not uncovered("pipeline.config.settings", ["pipeline", "yolox_core"])
