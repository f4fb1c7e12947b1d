"""A project on the laptop of tests/integration/cluster.py, and the commands that one would type there."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.hosts import Command
from tests.integration.cluster import BUCKET, Cluster
from tests.integration.project import PARAMS
from tests.needs import ROOT
from yolox_core.training import checkpoint

RACCOON = ROOT.parent / "shared" / "datasets" / "raccoon"
TRAIN = {**PARAMS["train"], "input_size": 64, "batch_size": 8, "micro_batch_size": 4, "warmup_epochs": 0}
ALONE = dict.fromkeys(("YOLOX_STORE", "YOLOX_SUBMIT", "MLFLOW_TRACKING_URI"), "")  # without the cluster
WORKERS = {"YOLOX_WORKERS": "2", "YOLOX_THREADS": "2", "YOLOX_GPU": "0"}  # a node has no room for two of them


def params(source: str, epochs: int, **more: Any) -> dict[str, Any]:
    """params.yaml of a small run."""
    train = {**TRAIN, "epochs": epochs, "threads": None}
    export = {"max_map_loss": 1, "max_difference": 50}
    data = {**PARAMS["data"], "source": source}
    return {**PARAMS, "data": data, "augment": {}, "train": train, "export": export, **more}


@dataclass(frozen=True)
class LaptopProject:
    """A folder in the laptop's home."""

    there: Cluster
    name: str

    @classmethod
    def make(cls, there: Cluster, epochs: int) -> "LaptopProject":
        """Photographs where they are at hand, rendered scenes elsewhere; everything before training is done."""
        project, source = cls(there, "project"), "synthetic"
        if RACCOON.is_dir():
            source = str(there.laptop.home / "pictures")
            shutil.copytree(RACCOON, there.laptop.here(there.laptop.home / "pictures"))
        given = () if source == "synthetic" else ("--data", source)
        there.laptop.output("yolox", "init", str(project.folder), *given, **ALONE)
        project.set_params(params(source, epochs))
        project.output("dvc", "repro", "prepare", **ALONE)
        return project

    @property
    def folder(self) -> Path:
        """As the laptop sees it."""
        return self.there.laptop.home / self.name

    @property
    def root(self) -> Path:
        """The same as this machine sees it."""
        return self.there.laptop.here(self.folder)

    def copy(self, name: str, **train: Any) -> "LaptopProject":
        """The same project elsewhere, with other settings of its training."""
        shutil.copytree(self.root, self.root.parent / name, symlinks=True)
        copy = LaptopProject(self.there, name)
        plain = yaml.safe_load((copy.root / "params.yaml").read_text(encoding="utf-8"))
        copy.set_params({**plain, "train": {**plain["train"], **train}})
        return copy

    def set_params(self, plain: dict[str, Any]) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")

    def output(self, *words: str, **environment: str) -> str:
        """What a command printed that must succeed."""
        return self.there.laptop.output(*words, folder=self.folder, **WORKERS | environment)

    def submit(self, *words: str, **environment: str) -> Command:
        """`yolox submit`, begun; with a store of this project's own."""
        command = ("yolox", "submit", "--address", self.there.client["YOLOX_SUBMIT"], *words)
        return self.there.laptop.popen(*command, folder=self.folder, **WORKERS | self.store | environment)

    @property
    def store(self) -> dict[str, str]:
        """Runs of one name must not meet: each project has a store of its own."""
        return {"YOLOX_STORE": f"s3://{BUCKET}/{self.name}"}

    def epochs_in_store(self) -> int:
        """Of the only run there, by its newest checkpoint."""
        names = [name.rpartition("/")[2] for name in self.there.objects(f"{self.name}/runs/")]
        return max((int(name[6:11]) for name in names if checkpoint.NAME.fullmatch(name)), default=0)

    def forget(self) -> None:
        """What was trained here: a copy of a project that was trained trains itself."""
        for name in ("runs", "models", "reports/training.json", "reports/history.csv"):
            path = self.root / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def weights(self) -> str:
        """sha256 of the released weights."""
        return hashlib.sha256((self.root / "models/trained/model.safetensors").read_bytes()).hexdigest()

    def read(self, name: str) -> Any:
        """A JSON file of the project's."""
        return json.loads((self.root / name).read_text(encoding="utf-8"))

    def rows(self) -> int:
        """Epochs in the history that came home."""
        return len((self.root / "reports/history.csv").read_text(encoding="utf-8").splitlines()) - 1


def finish(command: Command, within_s: float = 900) -> str:
    """What it printed until its end."""
    try:
        return command.communicate(timeout=within_s)[0]
    except BaseException:
        command.kill()
        raise
