"""An order: one training run and what is to be recorded of it, all that a driver needs on whatever machine it runs.

It travels to a cluster as a file of the store, named by its sha256, and with it the files that later stages read.
"""

import dataclasses
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.cluster.store import RUNS, Store
from pipeline.config import paths
from pipeline.config.git_state import project_state
from pipeline.config.params_file import params_text, read_params
from pipeline.config.settings import Settings
from pipeline.registry.model_reference import STARTED_FROM, origin_tags
from pipeline.training.loop_config import TrainLoopConfig
from pipeline.training.run_inputs import fetch_files, send_file, send_text
from yolox_core.errors import InputError

SWEEP = "sweep"  # instead of a training
AFTER_TRAINING = ("evaluate", "export", "register")  # the stages that can follow on the cluster
OUTPUTS = "outputs.json"  # of a run in the store: what these wrote, by sha256
READ_BY_THEM = (
    paths.GRAPH_RECORD,
    paths.MANIFEST,
    paths.WEIGHTS,
    paths.VALIDATION,
    *(paths.prepared(split) for split in ("train", "val", "test")),
)


@dataclass(frozen=True)
class Order:
    """A run, its name in MLflow, and what follows it."""

    config: TrainLoopConfig
    experiment: str
    params: Mapping[str, Any]
    tags: Mapping[str, str]
    started_from: Mapping[str, Any] | None  # the initial weights
    state: Mapping[str, Any] = field(default_factory=dict)  # of the project: git's commit and the like
    stages: Sequence[str] = ()  # after the training
    project: Mapping[str, str] = field(default_factory=dict)  # sha256 of the project's files that these read
    python: str = ".".join(platform.python_version_tuple()[:2])

    @classmethod
    def of(cls, settings: Settings, config: TrainLoopConfig, started_from: Mapping[str, Any] | None) -> "Order":
        """To train what params.yaml says."""
        state = project_state()
        return cls(
            config=config,
            experiment=settings.registered_name,
            params=read_params(),
            tags=state.tags() | origin_tags({STARTED_FROM: started_from}),
            state=dataclasses.asdict(state),
            started_from=started_from,
        )

    def with_stages(self, store: Store, stages: Sequence[str]) -> "Order":
        """The same with stages after it, whose files are sent. InputError where one is not there."""
        if not stages:
            return self
        try:
            project = {str(path): send_file(store, path) for path in READ_BY_THEM}
            project[str(paths.PARAMS)] = send_text(store, params_text())
        except FileNotFoundError as missing:
            raise InputError(f"{missing.filename}: no such file. Run `dvc repro prepare` first.") from missing
        return dataclasses.replace(self, stages=tuple(stages), project=project)

    def sent(self, store: Store) -> str:
        """The sha256 by which it lies in the store."""
        config = dataclasses.replace(self.config, run="", report_queue="", cache="", cache_bytes=0)
        order = dataclasses.replace(self, config=config)
        return send_text(store, json.dumps(dataclasses.asdict(order), sort_keys=True))

    @classmethod
    def read(cls, text: str) -> "Order":
        """One that was sent."""
        content = json.loads(text)
        config = content["config"]
        config["runs"] = tuple(config["runs"]) if config["runs"] else None
        return cls(**{**content, "config": TrainLoopConfig(**config)})


def bring_home(store: Store, name: str, digest: str) -> bool:
    """Fetch what the stages of this order wrote into the current folder; whether they are done."""
    try:
        said = json.loads(store.read(f"{RUNS}/{name}/{OUTPUTS}"))
    except FileNotFoundError:
        return False
    except Exception as failed:  # each kind of store has errors of its own
        raise store.unusable("read", failed) from failed
    if said["order"] != digest:
        return False
    fetch_files(store, said["files"], Path())
    return True
