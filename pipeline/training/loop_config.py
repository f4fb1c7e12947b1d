"""One training run as its workers get it: plain values, which travel to whatever node they run on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainLoopConfig:
    """One training run, as its workers get it."""

    recipe: dict[str, Any]
    spec: dict[str, Any]
    images: str  # what file names are relative to: a folder that every node has, or an fsspec address
    digests: str  # JSON file whose `files` are the images' sha256 by name
    training: str  # COCO files
    validation: str
    initial: str | None  # a weight file or folder
    run: str  # the run's folder
    threads: int
    loader_workers: int
    report_queue: str  # name of the report queue's actor
    cache: str = ""  # folder of each node for images fetched from an address
    cache_bytes: int = 0
    checkpoint_minutes: float | None = None  # as the engine has it
    name: str = ""  # of the run, as nodes and stores call it; empty: its folder's
    runs: tuple[str, str] | None = None  # the address of the runs whose checkpoints are kept besides, and its variable
    store: str = ""  # address that brings the files that the fields above name; empty: every node has them
    files: dict[str, str] = field(default_factory=dict)  # their sha256 by name

    @property
    def called(self) -> str:
        """The run's name, whichever machine asks."""
        return self.name or Path(self.run).name
