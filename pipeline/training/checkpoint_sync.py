"""A run's checkpoints in the store, for clusters whose nodes share no folder that lasts.

The engine writes them to the node's own folder; Ray Train's upload thread sends them from there (checkpoint_upload.py),
so that training never waits for a network. A file under its final name is whole.
"""

from collections.abc import Iterable
from pathlib import Path

from pipeline.cluster.store import Store
from yolox_core.training.checkpoint import NAME, PROGRESS

FOLDER = "checkpoints"  # of a run
FORMER = ""  # where the release before kept them, below YOLOX_CHECKPOINTS


class CheckpointSync:
    """The checkpoints of one run, in `folder` and in the store, which is opened at the run."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self._folder = store, folder
        self._sent: dict[str, tuple[int, int]] = {}  # name -> size and time of what was sent

    def download(self) -> None:
        """Fetch the checkpoints where the store has a newer one than the folder. InputError where it fails."""
        try:
            place = max((FOLDER, FORMER), key=lambda where: _newest(self._there(where)))
            there = self._there(place)
            if _newest(there) <= _newest(self._here()):
                return
            for name in sorted(there):  # `best`, the epochs, progress.json: as they were written
                self.store.fetch(f"{place}/{name}".lstrip("/"), self._folder / name)
        except Exception as failed:  # each kind of store has errors of its own
            raise self.store.unusable("read", failed) from failed

    def clear(self) -> None:
        """Remove what lies there. InputError where it fails."""
        try:
            for place in (FOLDER, FORMER):
                for name in self._there(place):
                    self.store.remove(f"{place}/{name}".lstrip("/"))
        except Exception as failed:
            raise self.store.unusable("cleared", failed) from failed

    def send(self) -> None:
        """Send what is new here and remove what is older than it there; raises whatever the store raises."""
        here = self._here()
        for name in sorted(here):
            try:
                status = here[name].stat()
                if self._sent.get(name) == (status.st_size, status.st_mtime_ns):
                    continue
                self.store.send(here[name], f"{FOLDER}/{name}")
            except FileNotFoundError:  # a newer one has taken its place
                if here[name].exists():
                    raise
                continue
            self._sent[name] = (status.st_size, status.st_mtime_ns)
        newest = _newest(here)
        for name in self._there(FOLDER) - set(here):
            if name < newest:  # and not what another node has written since, to which the run has gone
                self.store.remove(f"{FOLDER}/{name}")

    def is_begun(self) -> bool:
        """Whether there is a checkpoint in the store. InputError where nobody can tell."""
        try:
            return any(_newest(self._there(place)) for place in (FOLDER, FORMER))
        except Exception as failed:
            raise self.store.unusable("read", failed) from failed

    def _here(self) -> dict[str, Path]:
        return {path.name: path for path in self._folder.glob("*") if _is_sent(path.name)}

    def _there(self, place: str) -> set[str]:
        return set(filter(_is_sent, self.store.names(place)))


def run_checkpoints(runs: tuple[str, str], name: str, folder: Path) -> CheckpointSync:
    """Of the run of this name and folder, below an address that a variable names (ComputeConfig.runs)."""
    address, variable = runs
    return CheckpointSync(Store(f"{address.rstrip('/')}/{name}", variable), folder / FOLDER)


def _is_sent(name: str) -> bool:
    return name.endswith(".pt") or name == PROGRESS


def _newest(names: Iterable[str]) -> str:
    return max((name for name in names if NAME.fullmatch(name)), default="")
