"""Printed at the end of `yolox repro`: how good the detector is, where it lies and what to do with it."""

import shlex
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.markup import escape

from pipeline.config import paths
from pipeline.config.settings import Settings
from pipeline.config.stage_reports import read_report
from pipeline.registry.store import DATABASE, shown, tracking_uri
from yolox_core.evaluation.detection_limit import UNLIMITED

MLFLOW_PORT = 5000


def run(settings: Settings) -> None:
    """Print it; InputError where a stage has not been run."""
    metrics, registration = read_report(paths.METRICS), read_report(paths.REGISTRATION, "name", "alias")
    reference = f"models:/{registration['name']}@{registration['alias']}"
    lines = {
        "Test set": headline(metrics),
        "Report": str(paths.REPORT),
        "Model": f"{paths.RELEASED}/ (safetensors, ONNX, model.json)",
        "Registered": f"{registration['name']} version {registration['version']}, {registration['alias']}",
        "MLflow": mlflow_page(tracking_uri()),
        "Predict": f"{program('yolox')} predict IMAGE --model {shlex.quote(reference)}",
    }
    console = Console(highlight=False)
    console.rule(f"[bold]{escape(settings.registered_name)}[/bold]", align="left")
    for label, value in lines.items():
        # never wrapped, so that commands can be copied
        console.print(f"[bold cyan]{label:<11}[/bold cyan] {escape(value)}", soft_wrap=True)


def program(name: str) -> str:
    """The command to type for a program: its path in the clone's .venv, which need not be active, or else its name."""
    own = Path(".venv/bin", name)
    return str(own) if own.exists() else name


def headline(metrics: dict[str, object]) -> str:
    """`map 0.612, map_50 0.903 on 140 images`; figures that do not exist are left out."""
    figures = [f"{name} {float(str(metrics[name])):.3f}" for name in ("map", UNLIMITED, "map_50") if name in metrics]
    return f"{', '.join(figures) or 'no figures'} on {metrics.get('images', '?')} images"


def mlflow_page(uri: str) -> str:
    """The address of MLflow's page, with the command that opens it where no server runs."""
    if urlsplit(uri).scheme in ("http", "https"):
        return shown(uri)
    store = shown(uri) if shown(uri) == f"sqlite:///{DATABASE}" else f"'{uri}'"
    command = f"{program('mlflow')} ui --backend-store-uri {store} --port {MLFLOW_PORT}"
    return f"{command}, then open http://127.0.0.1:{MLFLOW_PORT}"
