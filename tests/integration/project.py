"""A small project in a folder of its own: the pipeline's real code and graph, tiny parameters, real `dvc repro`."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import torch
import yaml

from tests.needs import ROOT
from tests.waiting import until
from yolox_core.training import checkpoint

CODE = ("pipeline", "yolox_core")
FILES = ("dvc.yaml", "pyproject.toml", ".gitignore", ".dvcignore", ".rayignore", ".dvc/config", ".dvc/.gitignore")
YOLOX = (str(Path(sys.executable).with_name("yolox")),)  # as dvc.yaml calls it; PYTHONPATH says whose code it runs
REPRO_TIMEOUT_S = 900.0  # about 100 on two quiet cores
LOOK_EVERY_S = 0.5
RUN_MARK = "YOLOX_TEST_RUN"  # variable in the environment of all that a run starts
GONE_WITHIN_S = 60.0  # the loaders notice within 6 s, Ray's agents within half a minute

# mosaic, mixup, multi-scale, accumulation and averaging all on
PARAMS: dict[str, Any] = {
    "seed": 0,
    "data": {
        "source": "synthetic",
        "format": "auto",
        "split": {"val": 0.2, "test": 0.2, "honour": True},
        "synthetic": {"images": 60, "seed": 0},
    },
    "model": {"size": "nano", "width": 0.125, "depth": 0.33, "depthwise": False, "weights": None},
    "assign": {"rule": "yolox-2023"},
    "loss": {"class": 1.0},
    "augment": {"mosaic": 1.0, "mixup": 0.5, "multiscale": [64, 96]},
    "train": {
        "epochs": 18,
        "closing_epochs": 1,
        "warmup_epochs": 1,
        "batch_size": 4,
        "micro_batch_size": 2,
        "input_size": 96,
        "learning_rate": 0.02,
        "ema_decay": 0.9,
        "ema_warmup": 10,
        "threads": 1,
    },
    "evaluate": {"confidence": 0.001, "nms_iou": 0.65},
    "export": {"max_map_loss": 0.005},
    "registry": {"name": "auto"},
}


class Project:
    """A project's root, and the commands one would type there."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def make(cls, root: Path, params: Mapping[str, Any] = PARAMS) -> "Project":
        """Copy code and graph to `root`, write params.yaml, and commit all of it."""
        for room in CODE:
            shutil.copytree(ROOT / room, root / room, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, root / name)
        project = cls(root)
        project.set_params(params)
        git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
        for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "start"]):
            subprocess.run([*git, *words], cwd=root, check=True, capture_output=True)
        return project

    def copy(self, root: Path, leave_out: tuple[str, ...] = ()) -> "Project":
        """The same project elsewhere, without some of its paths."""
        shutil.copytree(self.root, root, symlinks=True)
        for name in leave_out:
            shutil.rmtree(root / name)
        return Project(root)

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Write params.yaml."""
        (self.root / "params.yaml").write_text(yaml.safe_dump(dict(params), sort_keys=False), encoding="utf-8")

    def environment(self, **more: str) -> dict[str, str]:
        """This process's, with the virtual environment first, the project's own code, and nobody's servers."""
        unset = (
            "MLFLOW_TRACKING_URI",
            "RAY_ADDRESS",
            "YOLOX_WORKERS",
            "YOLOX_LOADER_WORKERS",
            "YOLOX_GPU",
            "YOLOX_IMAGES",
            "YOLOX_CHECKPOINTS",
            "YOLOX_STORE",
            "YOLOX_MIN_WORKERS",
            "YOLOX_TRIALS",
        )
        kept = {name: value for name, value in os.environ.items() if name not in unset}
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        return {**kept, "PATH": path, "PYTHONPATH": str(self.root), "YOLOX_GPU": "0", **more}

    def start(self, *command: str, **environment: str) -> "subprocess.Popen[str]":
        """Begin a command; standard error goes with standard output."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def repro(self, *words: str, **environment: str) -> str:
        """`dvc repro`, which must succeed; what it printed."""
        with Family(self.start("dvc", "repro", *words, **environment)) as family, family.watched():
            printed = finish(family.command)
        assert family.command.returncode == 0, printed[-6000:]
        return printed

    def stage(self, name: str, **environment: str) -> tuple[int, list[str]]:
        """One stage as DVC runs it; its exit code and the lines that it printed."""
        with Family(self.start(*YOLOX, name, **environment)) as family, family.watched():
            printed = finish(family.command)
        return family.command.returncode, printed.splitlines()

    @property
    def run(self) -> Path:
        """The folder of the only training run."""
        (folder,) = (self.root / "runs").iterdir()
        return folder

    def history(self) -> list[dict[str, Any]]:
        """The only run's rows, one an epoch."""
        return [json.loads(line) for line in (self.run / "history.jsonl").read_text(encoding="utf-8").splitlines()]

    def checkpoints_written(self) -> int:
        """Epochs that are safely on disk in the only run; 0 where it has not begun."""
        names = [path.stem for path in self.root.glob("runs/*/checkpoints/epoch_*.pt")]
        return max((int(name.split("_")[1]) for name in names), default=0)

    def result(self) -> dict[str, str]:
        """sha256 of what a training leaves: released weights, history, and every tensor of its last state."""
        weights, history = self.root / "models/trained/model.safetensors", self.run / "history.jsonl"
        digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (weights, history)}
        return digests | {"state": self._last_state()}

    def _last_state(self) -> str:
        content = checkpoint.newest(self.run / "checkpoints").content
        assert content is not None
        digest = hashlib.sha256()

        def add(value: Any) -> None:
            if isinstance(value, torch.Tensor):
                digest.update(value.contiguous().numpy().tobytes())
            elif isinstance(value, Mapping):
                for name in value:
                    digest.update(str(name).encode())
                    add(value[name])
            elif isinstance(value, (list, tuple)):
                for entry in value:
                    add(entry)
            else:
                digest.update(repr(value).encode())

        add({name: content[name] for name in ("model", "ema", "optimizer", "progress", "history", "threads")})
        return digest.hexdigest()


class Family:
    """All processes that a command has started, however deep, as far as they were seen while it ran."""

    def __init__(self, command: "subprocess.Popen[str]") -> None:
        self.command = command
        self.head = psutil.Process(command.pid)
        self.seen: set[psutil.Process] = set()

    def __enter__(self) -> "Family":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """A test that failed leaves nobody behind."""
        if kind is not None:
            self.look()
            for process in {self.head, *self.seen}:
                with suppress(psutil.Error):
                    process.kill()

    def look(self) -> list[psutil.Process]:
        """Those that there are now."""
        try:
            living = self.head.children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        self.seen.update(living)
        return living

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look again and again during the block."""
        done = threading.Event()

        def watch() -> None:
            while not done.wait(LOOK_EVERY_S):
                self.look()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            watcher.join()

    def named(self, *words: str) -> list[psutil.Process]:
        """Those now whose command line begins with the first word and holds the others.

        A shell that waits for the command begins otherwise; a child that the command has forked and that has not yet
        become another program (git, say) looks the same, and is left out: its parent is there.
        """
        found = []
        for process in self.look():
            with suppress(psutil.Error):
                first, *rest = process.cmdline() or [""]
                if Path(first).name.startswith(words[0]) and all(word in rest for word in words[1:]):
                    found.append(process)
        return [process for process in found if _parent(process) not in {other.pid for other in found}]

    def living(self) -> list[str]:
        """Those of all ever seen that run now."""
        return [str(process) for process in self.seen if alive(process)]

    def survivors(self, within_s: float = GONE_WITHIN_S) -> list[str]:
        """Those that are still there after a while; empty as soon as none is."""
        with suppress(TimeoutError):
            until(lambda: not self.living(), within_s)
        return self.living()


def _parent(process: psutil.Process) -> int:
    """The id of who started it; 0 where it is gone."""
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return 0


def marked(mark: str) -> list[psutil.Process]:
    """What runs of all that was started with this RUN_MARK, detached or not."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(RUN_MARK) == mark and alive(process):
                found.append(process)
    return found


def alive(process: psutil.Process) -> bool:
    """Whether it runs; what only waits for its parent to notice its end does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def finish(running: "subprocess.Popen[str]", timeout_s: float = REPRO_TIMEOUT_S) -> str:
    """Wait for a command's end; what it printed."""
    try:
        return running.communicate(timeout=timeout_s)[0]
    except subprocess.TimeoutExpired:
        running.kill()
        raise
