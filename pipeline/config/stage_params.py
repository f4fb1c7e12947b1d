"""The parameters of one stage: read once at its start, and still those of params.yaml at its end.

DVC reads params.yaml when a stage has ended and records in dvc.lock what stands there then. Where somebody has edited
it in the meantime, that is not what the stage used, and the stage ends with an error rather than be recorded.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.config import paths
from pipeline.config.flattening import flattened
from pipeline.config.params_file import params_text, parse_params, pinned_params
from pipeline.config.project_lock import dvc_root, stage_lock
from pipeline.config.settings import Settings, settings_from
from pipeline.config.yaml_values import YAML_ERRORS, parse_yaml
from yolox_core.errors import InputError

DVC_STAGE = "DVC_STAGE"  # set by DVC for a stage's command
MOST_SHOWN = 3


@contextmanager
def stage_settings() -> Iterator[Settings]:
    """Checked settings for the block, under the project's lock where DVC runs the stage.

    InputError after the block where DVC would record other parameters than these.
    """
    text = params_text()
    plain = parse_params(text)
    if DVC_STAGE not in os.environ:  # by hand: nothing is recorded
        with pinned_params(text):
            yield settings_from(plain)
        return
    with stage_lock():
        with pinned_params(text):
            yield settings_from(plain)
        _check_unchanged(plain)


def check_recorded_params() -> None:
    """InputError where a stage that this one depends on used other values than those that it is about to report.

    For stages that state what the others used. params.yaml may have been edited between two stages. Stages that come
    later, or are not concerned, keep the record of an earlier run until it is their turn.
    """
    if DVC_STAGE not in os.environ:
        return
    plain, names = parse_params(params_text()), _names(os.environ[DVC_STAGE])
    needed = _upstream(_stages(_graph(os.environ[DVC_STAGE])), _name(os.environ[DVC_STAGE]))
    for stage, used in _recorded(os.environ[DVC_STAGE]):
        if stage not in needed:
            continue
        kept = {name: value for name, value in used.items() if _concerns(name, names)}
        changed = _differences(kept, {name: _value(plain, name) for name in kept})
        if changed:
            raise InputError(
                f"params.yaml: expected the values that stage '{stage}' ran with, got others ({changed}). "
                "Run again: what depends on them is done with the new ones."
            )


def check_recorded_as(plain: Mapping[str, Any]) -> None:
    """InputError where dvc.lock records other values than those that a run of the whole graph began with.

    What is edited in the instant between a stage's end and DVC's look at params.yaml, no stage can notice.
    """
    for stage, used in _recorded(str(paths.GRAPH)):
        changed = _differences({name: _value(plain, name) for name in used}, used)
        if changed:
            raise InputError(
                f"params.yaml: expected the values that this run began with, got others in dvc.lock for '{stage}' "
                f"({changed}). Leave params.yaml alone meanwhile, and run: dvc repro --force {stage}"
            )


def _check_unchanged(before: Mapping[str, Any]) -> None:
    stage = os.environ[DVC_STAGE]
    names = _names(stage)
    now = parse_params(params_text())
    changed = _differences(_selected(before, names), _selected(now, names))
    if changed:
        raise InputError(
            f"params.yaml: expected the values that stage '{stage}' began with, got others at its end ({changed}). "
            "Nothing is recorded for it. Run again, and leave params.yaml alone meanwhile."
        )


def _selected(plain: Mapping[str, Any], names: list[str] | None) -> Mapping[str, Any]:
    return plain if names is None else {name: _value(plain, name) for name in names}


def _value(plain: Any, name: str) -> Any:
    for key in name.split("."):
        if not isinstance(plain, Mapping) or key not in plain:
            return None
        plain = plain[key]
    return plain


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """`train.epochs: 30, now 2`; empty where both are equal."""
    old, new = dict(flattened(before)), dict(flattened(now))
    changed = [
        name for name in dict.fromkeys([*old, *new]) if name not in old or name not in new or old[name] != new[name]
    ]
    shown = [f"{name}: {old.get(name, 'absent')}, now {new.get(name, 'absent')}" for name in changed[:MOST_SHOWN]]
    return "; ".join(shown)[:300]


def _names(stage: str) -> list[str] | None:
    """The dotted names of params.yaml that a stage depends on; None, for all, where dvc.yaml does not say."""
    entry = _stages(_graph(stage)).get(_name(stage), {})
    names: list[str] = []
    for given in entry.get("params", ()) if isinstance(entry, Mapping) else ():
        if isinstance(given, str):
            names.append(given)
        elif isinstance(given, Mapping) and str(paths.PARAMS) in given:
            names += given[str(paths.PARAMS)] or ()
    return names if names and not any("$" in name for name in names) else None


def _concerns(name: str, names: list[str] | None) -> bool:
    return names is None or any(name == other or name.startswith(f"{other}.") for other in names)


def _recorded(stage: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What dvc.lock says that each other stage of the graph used of params.yaml."""
    graph = _graph(stage)
    known, record = _stages(graph), _stages(graph.with_name(paths.GRAPH_RECORD.name))
    for name, entry in record.items():
        if name in known and name != _name(stage) and not known[name].get("frozen"):
            yield name, dict((entry.get("params") or {}).get(str(paths.PARAMS)) or {})


def _upstream(stages: Mapping[str, Any], stage: str) -> set[str]:
    """The stages that one depends on, itself or through others."""
    found, waiting = {stage}, [stage]
    while waiting:
        deps = _named_paths(stages.get(waiting.pop()), "deps")
        for name in stages.keys() - found:
            outs = _named_paths(stages[name], "outs", "metrics", "plots")
            if any(dep == out or out in dep.parents or dep in out.parents for dep in deps for out in outs):
                found.add(name)
                waiting.append(name)
    return found - {stage}


def _named_paths(entry: Any, *kinds: str) -> list[Path]:
    """Paths of a stage's dependencies or outputs in dvc.yaml: texts, or mappings of one path to its options."""
    given = [item for kind in kinds for item in (entry.get(kind) or ())] if isinstance(entry, Mapping) else []
    return [Path(next(iter(item)) if isinstance(item, Mapping) else item) for item in given]


def _graph(stage: str) -> Path:
    """The dvc.yaml of a stage, which DVC calls `name`, or `folder/dvc.yaml:name` elsewhere than in its own folder."""
    file = stage.rpartition(":")[0] or paths.GRAPH
    return next((path for path in (Path(file), dvc_root() / file) if path.is_file()), paths.GRAPH)


def _name(stage: str) -> str:
    return stage.rpartition(":")[2]


def _stages(file: Path) -> dict[str, Any]:
    try:
        content = parse_yaml(file.read_text(encoding="utf-8"))
        return dict(content["stages"])
    except (OSError, *YAML_ERRORS):  # DVC reads it, too, and says what is wrong
        return {}
