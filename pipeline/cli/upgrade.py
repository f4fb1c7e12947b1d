"""`yolox init --upgrade`: the dvc.yaml of a project that an earlier release made, as this release would write it."""

from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from pipeline.cli.init import graph_text
from pipeline.config.user_paths import user_path
from pipeline.config.yaml_editor import YamlEditor
from yolox_core.atomic_files import write_text
from yolox_core.errors import InputError

GRAPH, PACKAGE_STAGE = "dvc.yaml", "package"


def upgrade(folder: Path) -> None:
    """Bring the stages of `yolox init` up to date and print what changed.

    Stages, plots and comments of the user's own stay, params.yaml is not touched. InputError where the folder holds no
    project of `yolox init`.
    """
    path = user_path(folder) / GRAPH
    editor = _project_graph(path)
    project, today = editor.document, YamlEditor(graph_text()).document
    changes = _update_stages(project["stages"], today["stages"]) + _update_plots(project, today)
    if not changes:
        print(f"{path}: up to date already")
        return
    write_text(path, editor.text())
    print("\n".join([f"{path}: updated to this release", *(f"  {change}" for change in changes)]))
    print("Next: yolox repro")


def _project_graph(path: Path) -> YamlEditor:
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run this in a project's folder, or make one: yolox init FOLDER.")
    try:
        editor = YamlEditor(path.read_text(encoding="utf-8"))
    except (YAMLError, ValueError) as broken:
        raise InputError(f"{path}: expected YAML: {' '.join(str(broken).split())[:200]}.") from broken
    project = editor.document
    stages = project.get("stages") if isinstance(project, dict) else None
    if not isinstance(stages, dict) or PACKAGE_STAGE not in stages:
        raise InputError(
            f"{path}: expected the graph of a project of `yolox init`, got one without the stage '{PACKAGE_STAGE}'. "
            "The package's own repository brings its graph along."
        )
    return editor


def _update_stages(stages: Any, today: Any) -> list[str]:
    """Change in place what differs; what came, went or changed, in words."""
    changes = []
    for position, (name, stage) in enumerate(today.items()):
        if not isinstance(stages.get(name), dict):
            stages.pop(name, None)
            stages.insert(position, name, stage)
            changes.append(f"{name}: new")
        elif changed := _update_stage(stages[name], stage):
            changes.append(f"{name}: {', '.join(changed)}")
    return changes


def _update_stage(stage: Any, today: Any) -> list[str]:
    """Entry by entry, so that comments stay where nothing changes."""
    changed = [key for key in dict.fromkeys([*today, *stage]) if stage.get(key) != today.get(key)]
    for key in changed:
        if key in today:
            stage[key] = today[key]
        else:
            del stage[key]
    return changed


def _update_plots(project: Any, today: Any) -> list[str]:
    """Ours by name, before those of the user's."""
    ours, before = today["plots"], project.get("plots") or []
    if isinstance(before, dict):  # DVC's other form
        before = [{name: plot} for name, plot in before.items()]
    names = {name for plot in ours for name in plot}
    kept = [plot for plot in before if not (isinstance(plot, dict) and names & set(plot))]
    if [*ours, *kept] == before:
        return []
    project["plots"] = [*ours, *kept]
    return ["plots"]
