"""What a driver writes down of a run, in the store: it comes home with the run, and outlives the driver's machine."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from pipeline.cluster.store import RUNS, Store, until_it_answers

NAMES = ("history.jsonl", "timing.jsonl", "summary.json", "mlflow_run.json")


class RunRecord:
    """The small files of a run's folder. In its block they are sent beside the training, and whole at its end."""

    def __init__(self, store: Store, name: str, folder: Path, patterns: Sequence[str] = NAMES) -> None:
        """`patterns`: which files below the folder, for Path.glob."""
        self._store, self._below, self._folder, self._patterns = store, f"{RUNS}/{name}", folder, patterns
        self._sent: dict[Path, int] = {}  # when it was changed that was sent
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="run-record")
        self._sending: Future[None] | None = None

    def fetch(self) -> None:
        """Bring them here. InputError where the store fails."""
        try:
            for name in self._store.names(self._below, deep=True):
                if any(PurePosixPath(name).match(pattern) for pattern in self._patterns):
                    self._store.fetch(f"{self._below}/{name}", self._folder / name)
        except Exception as failed:  # each kind of store has errors of its own
            raise self._store.unusable("read", failed) from failed

    def note(self) -> None:
        """Something was written: send it, unless the store still has to answer about what was before."""
        if self._sending is None or self._sending.done():
            self._sending = self._thread.submit(self._send)  # what fails there is sent again, at the end at the latest

    def __enter__(self) -> "RunRecord":
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        until_it_answers(self._send)

    def _send(self) -> None:
        for path in [path for pattern in self._patterns for path in self._folder.glob(pattern)]:
            changed = path.stat().st_mtime_ns
            if self._sent.get(path) != changed:
                self._store.send(path, f"{self._below}/{path.relative_to(self._folder).as_posix()}")
                self._sent[path] = changed
