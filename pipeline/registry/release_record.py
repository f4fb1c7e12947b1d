"""What is registered: a released model with all that is known of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.registry.evidence import Evidence
from pipeline.registry.run_log import RunSpec


@dataclass(frozen=True)
class DataSource:
    """The images a model was made from."""

    name: str
    source: str  # a folder, or `synthetic`
    digest: str
    images: int | None = None  # of the training split; None: not counted
    objects: int | None = None


@dataclass(frozen=True)
class Release:
    """What is to be registered."""

    folder: Path  # model.safetensors, model.onnx, model.json
    name: str  # of the registered model
    run: RunSpec  # the training it came from
    test_metrics: Mapping[str, float]
    evidence: Evidence  # what those figures were measured from
    cost: Mapping[str, float]  # parameters, gflops
    data: DataSource
    tags: Mapping[str, str]  # of the version: git commit, digests
    files: tuple[Path, ...] = ()  # kept with the run: dvc.lock, params.yaml, reports
    params: Mapping[str, Any] = field(default_factory=dict)  # of the training, defaults included
    forms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # what the export measured: torch, onnx, ...
