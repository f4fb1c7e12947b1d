"""What the report says, gathered from the files that the stages before it left. No drawing, no HTML.

Every section copes with what is absent: a size that does not occur, a split that is empty, a project without git.
"""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import paths
from pipeline.config.git_state import ProjectState
from pipeline.config.settings import Settings
from pipeline.reports.plots import Series
from yolox_core.config import DetectorSpec
from yolox_core.errors import InputError

Facts = list[tuple[str, str]]  # a table of names and values

HEADLINES = (
    ("map", "mAP", "mean over IoU 0.50 to 0.95"),
    ("map_unlimited", "mAP, all detections", "without COCO's limit: this one decides"),
    ("map_ceiling", "ceiling of mAP", "of a perfect detector: COCO counts 100 detections of a class an image"),
    ("map_50", "mAP 50", "at IoU 0.50"),
    ("map_75", "mAP 75", "at IoU 0.75"),
    ("map_small", "small", "mAP, under 32² px"),
    ("map_medium", "medium", "mAP, 32² to 96² px"),
    ("map_large", "large", "mAP, over 96² px"),
    ("ar_100", "recall", "mean of 100 detections"),
)


@dataclass(frozen=True)
class Inputs:
    """The reports of the stages before, as read."""

    metrics: Mapping[str, Any]
    training: Mapping[str, Any]
    validation: Mapping[str, Any]
    manifest: Mapping[str, Any]
    export: Mapping[str, Any]
    registration: Mapping[str, Any]
    history: Sequence[Mapping[str, float]]
    per_class: Sequence[Mapping[str, str]]
    precision_recall: Sequence[Mapping[str, str]]
    threshold: Sequence[Mapping[str, str]]
    confusion: Sequence[Mapping[str, str]]
    errors: Mapping[str, Any]


def read_inputs() -> Inputs:
    """All of them from the project's root; InputError names the first that is missing."""
    return Inputs(
        metrics=read_json(paths.METRICS),
        training=read_json(paths.TRAINING),
        validation=read_json(paths.VALIDATION),
        manifest=read_json(paths.MANIFEST),
        export=read_json(paths.EXPORT),
        registration=read_json(paths.REGISTRATION),
        history=[{name: float(text) for name, text in row.items() if text} for row in _read_csv(paths.HISTORY)],
        per_class=_read_csv(paths.PER_CLASS),
        precision_recall=_read_csv(paths.PRECISION_RECALL),
        threshold=_read_csv(paths.THRESHOLD),
        confusion=_read_csv(paths.CONFUSION),
        errors=read_json(paths.ERRORS),
    )


def read_json(path: Path) -> Any:
    """A JSON file of an earlier stage."""
    return json.loads(_text(path))


def headlines(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(figure, name, explanation) of those that exist."""
    return [(f"{metrics[key]:.3f}", name, about) for key, name, about in HEADLINES if key in metrics]


def precision_series(rows: Sequence[Mapping[str, str]]) -> Series:
    """Precision over recall, a line a class, in the order of the classes."""
    series: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row["precision"] and row["recall"]:
            series.setdefault(row["class"], []).append((float(row["recall"]), float(row["precision"])))
    return series


def class_table(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Figures per class, rounded; a dash where a class does not occur."""
    return [{key: _rounded(value) if key != "class" else value for key, value in row.items()} for row in rows]


def data_facts(manifest: Mapping[str, Any], settings: Settings) -> Facts:
    """Where the images come from."""
    return [("source", settings.data.shown), ("classes", str(len(manifest["class_names"])))]


def plain_facts(report: Mapping[str, Any]) -> Facts:
    """The numbers and words of a report, nested ones under joined names; lists become their length."""
    facts: Facts = []
    for key, value in report.items():
        name = key.replace("_", " ")
        if isinstance(value, Mapping):
            facts += [(f"{name}: {inner}", text) for inner, text in plain_facts(value)]
        elif isinstance(value, (list, tuple)):
            facts.append((name, str(len(value))))
        elif value is not None:
            facts.append((name, f"{value:.4g}" if isinstance(value, float) else str(value)))
    return facts


def training_facts(inputs: Inputs, settings: Settings) -> Facts:
    """How long and on what it was trained."""
    training, history = inputs.training, inputs.history
    seconds = training.get("train_seconds")
    released = {"best": "best by validation mAP", "last": "last, averaged (EMA)"}.get(str(training.get("released")))
    drawn = history[-1].get("step", 0) * settings.train.batch_size if history else 0
    facts = [
        ("epochs", str(training.get("epochs", len(history)))),
        ("released weights", released),
        ("best epoch", training.get("best_epoch")),
        ("training time", None if seconds is None else f"{seconds / 60:.1f} min"),
        ("images a second", f"{drawn / seconds:.1f}" if seconds and drawn else None),
        ("device", training.get("device")),
        ("workers", training.get("workers")),
        ("precision", _precision(training)),
    ]
    return [(name, str(value)) for name, value in facts if value is not None]


def _precision(training: Mapping[str, Any]) -> str | None:
    """The precision of training; None for a run made before it was recorded."""
    name, speedup = training.get("precision"), training.get("bfloat16_speedup")
    return f"{name} (bfloat16 is {speedup:.2f} times as fast there)" if speedup else name


def cost_facts(cost: Mapping[str, float], spec: DetectorSpec) -> Facts:
    """What the detector costs wherever it runs."""
    height, width = spec.input_size
    return [
        ("parameters", f"{cost['parameters'] / 1e6:.2f} million"),
        ("operations an image", f"{cost['gflops']:.3g} GFLOPs at {width} × {height} px (width × height)"),
    ]


def export_facts(export: Mapping[str, Any]) -> Facts:
    """How far ONNX Runtime and PyTorch agree."""
    named = {
        "max_difference": "largest difference of any output",
        "map_torch": "mAP with PyTorch",
        "map_onnx": "mAP with ONNX Runtime",
        "map_loss": "mAP lost",
    }
    return [(about, f"{export[key]:.3g}") for key, about in named.items() if isinstance(export.get(key), (int, float))]


def export_forms(export: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """(columns, rows) of the exported forms, whatever was measured of them; none where only ONNX was."""
    forms: Mapping[str, Mapping[str, Any]] = export.get("forms", {})
    known = [key for form in forms.values() for key, value in form.items() if not isinstance(value, (dict, list))]
    columns = list(dict.fromkeys(known))
    rows = [(name, [_shown(form.get(column)) for column in columns]) for name, form in forms.items()]
    return [column.replace("_", " ") for column in columns], rows


def lineage_facts(inputs: Inputs, state: ProjectState) -> Facts:
    """What to check out and look up to repeat or use this result."""
    commit = None if state.commit is None else state.commit + (" with uncommitted changes" if state.dirty else "")
    registration = inputs.registration
    facts = [
        ("git commit", commit or "none"),
        ("dvc.lock sha256", state.dvc_lock_sha256 or "none"),
        ("data digest", inputs.manifest.get("data_digest")),
        ("weights sha256", registration.get("weights_sha256")),
        ("registered as", f"{registration['name']} version {registration['version']} ({registration['alias']})"),
        ("MLflow store", registration.get("tracking_uri")),
        ("MLflow run", registration.get("run_id")),
        ("training run", inputs.training.get("run")),
    ]
    return [(name, str(value)) for name, value in facts if value is not None]


def _shown(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _rounded(text: str) -> str:
    if not text:
        return "–"
    return text if re.fullmatch(r"-?\d+", text) else f"{float(text):.3f}"


def _read_csv(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(_text(path).splitlines()))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as missing:
        raise InputError(f"{path}: no such file. Run the stages before this one: `dvc repro`.") from missing
