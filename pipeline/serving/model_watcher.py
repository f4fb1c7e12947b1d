"""The model that answers, and its successor: an alias of the registry is looked up again and again.

A service that starts while the store is away (a worker that died is replaced, say) begins with what the reference stood
for last.
"""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.registry.last_served import Served, recall, remember
from pipeline.registry.model_reference import locate
from pipeline.registry.resolve import PREFIX, Registered, registered
from pipeline.registry.store import StoreAway
from pipeline.serving.log import logger
from yolox_core.config import RuntimeName
from yolox_core.inference.predictor import Predictor
from yolox_core.inference.runtime_timing import measure_exported


@dataclass(frozen=True)
class Model:
    """A loaded model and where it is from."""

    predictor: Predictor
    name: str  # in the registry, or the file's
    version: str  # in the registry; empty for a file
    loaded_at: float  # seconds since 1970


class ModelWatcher:
    """What `reference` stands for, loaded. `refresh` takes up another version where an alias was moved."""

    def __init__(self, reference: str, runtime: str | None, device: str, threads: int = 0) -> None:
        self._reference, self._runtime, self._device, self._threads = reference, runtime, device, threads
        self._refused: Registered | None = None  # a version that was fetched and cannot be loaded
        self._changing = threading.Lock()
        self.problem: str  # why the newest version is not in use; empty where it is
        self._measured: Model | None = None  # whose fastest runtime was looked for last
        found, path, self.problem = _begin_with(reference)
        self._take(found, path)

    @property
    def moves(self) -> bool:
        """Whether the reference may come to mean another model."""
        return self._reference.startswith(PREFIX) and "@" in self._reference

    def watch(self, every_s: float) -> None:
        """Refresh from now on, in a thread that ends with the process; none where the reference cannot move."""
        if self.moves:
            threading.Thread(target=self._keep_refreshing, args=(every_s,), name="watch", daemon=True).start()

    def _keep_refreshing(self, every_s: float) -> None:
        while True:
            time.sleep(every_s)
            self.refresh()

    @property
    def is_unmeasured(self) -> bool:
        """Whether `take_fastest` has not been tried with the model in use."""
        return self.model is not self._measured

    def take_fastest(self) -> bool:
        """Whether the model in use runs in another runtime from now on: the fastest, measured unless it is known.

        Raises whatever a fetch or a runtime fails with; the model in use stays.
        """
        with self._changing:
            self._measured = self.model  # also where it fails: the next try would, too
            path = self._path(self._found)
            fastest = measure_exported(path)
            if fastest is None or fastest == self.model.predictor.runtime:
                return False
            self._take(self._found, path)
            self._measured = self.model
            return True

    def refresh(self) -> bool:
        """Whether another version was taken up. Whatever goes wrong, the one in use stays, and `problem` says why."""
        with self._changing:
            return self._refresh()

    def _refresh(self) -> bool:
        try:
            found = _look_up(self._reference)
            if found is None or found.version == self.model.version:
                self.problem = ""
                return False
            if found == self._refused:
                return False
            self._take_new(found)
        except Exception as failed:  # of a store or a download that is away for a while; the next look may succeed
            if self.problem != str(failed):
                logger.warning("%s: stays at version %s: %s", self._reference, self.model.version, failed)
            self.problem = str(failed)
            return False
        self.problem = ""
        logger.info("%s is version %s now", self._reference, self.model.version)
        return True

    def _path(self, found: Registered | Served | None) -> Path:
        return locate(self._reference) if found is None else found.folder()

    def _take_new(self, found: Registered) -> None:
        path = self._path(found)
        try:
            self._take(found, path)
        except Exception:
            self._refused = found
            raise
        self._refused = None

    def _take(self, found: Registered | Served | None, path: Path) -> None:
        """Use the model at `path` from now on; requests under way keep the one that they began with."""
        predictor = Predictor.load(path, self._device, self._runtime, self._threads)
        _warm_up(predictor, self._threads)
        name, version = (Path(self._reference).name, "") if found is None else (found.name, found.version)
        self.model, self._found = Model(predictor, name, version, time.time()), found
        if isinstance(found, Registered):
            remember(self._reference, name, version, path)


def _warm_up(predictor: Predictor, threads: int) -> None:
    """Run once, so that the first request does not pay for what is made at the first call."""
    height, width = predictor.spec.input_size
    grey = np.full((height, width, 3), 114, np.uint8)
    for one_core in (True,) if threads == 1 else (True, False):  # each has a session of its own
        predictor.predict_each([grey], [(None, None)], one_core)


def check_reference(reference: str, runtime: str | None, device: str) -> RuntimeName:
    """What runs the model on `device`; InputError where it cannot be loaded, before processes are started for it."""
    return Predictor.load(_begin_with(reference)[1], device, runtime).runtime


def _look_up(reference: str) -> Registered | None:
    return registered(reference) if reference.startswith(PREFIX) else None


def _begin_with(reference: str) -> tuple[Registered | Served | None, Path, str]:
    """The version of a reference, now or, where the store is away, as last resolved; its files; why it may be stale."""
    try:
        found = _look_up(reference)
        return found, locate(reference) if found is None else found.folder(), ""
    except StoreAway as away:
        served = recall(reference)
        if served is None:
            raise
        logger.warning("%s: starts with version %s, the last one known here: %s", reference, served.version, away)
        return served, served.folder(), str(away)
