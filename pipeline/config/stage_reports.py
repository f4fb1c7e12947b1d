"""The JSON reports that stages leave for later ones, read with a check of their shape.

A damaged or missing one names the stage that writes it.
"""

import json
from pathlib import Path
from typing import Any

from pipeline.config import paths
from yolox_core.config import DetectorSpec
from yolox_core.errors import InputError

# who writes what is read here
STAGES = {
    paths.RELEASED_SPEC: "export",
    paths.DETECTIONS: "evaluate",
    paths.TRAINING: "train",
    paths.METRICS: "evaluate",
    paths.MANIFEST: "prepare",
    paths.EXPORT: "export",
    paths.REGISTRATION: "register",
}


def read_report(path: Path, *texts: str) -> dict[str, Any]:
    """A JSON report of an earlier stage, with `texts` among its entries; InputError says which stage is to run."""
    content: dict[str, Any] = _read(path, dict, *texts)
    return content


def read_list(path: Path) -> list[dict[str, Any]]:
    """The same for a report that is a list."""
    content: list[dict[str, Any]] = _read(path, list)
    return content


def read_cost(spec: DetectorSpec) -> dict[str, float]:
    """Parameters, and GFLOPs of an image, as the export stage counted them, or counted now."""
    known = read_report(paths.EXPORT).get("cost") if paths.EXPORT.is_file() else None
    if isinstance(known, dict) and all(isinstance(value, (int, float)) for value in known.values()):
        return known
    from yolox_core.export.model_cost import size_of

    return size_of(spec)


def _read(path: Path, kind: type[Any], *texts: str) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, kind):
            raise TypeError(f"{type(content).__name__} instead of {kind.__name__}")
        absent = [name for name in texts if not isinstance(content.get(name), str)]
        if absent:
            raise TypeError(f"no text under {', '.join(absent)}")
    except FileNotFoundError as missing:
        raise InputError(f"{path}: no such file. Run the stages before this one: `dvc repro`.") from missing
    except (ValueError, TypeError, RecursionError) as broken:
        stage = STAGES[path]
        reason = f"{broken}"[:100]
        raise InputError(f"{path}: damaged ({reason}). Run stage {stage} again: `dvc repro {stage}`.") from broken
    return content
