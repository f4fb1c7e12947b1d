"""A run's checkpoints at an fsspec address, for clusters whose nodes share no folder that lasts.

They are written to the node's own folder first; a thread sends them from there, so that training never waits for a
network. They arrive under another name and are renamed: a file under its final name is whole.
"""

import os
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from yolox_core.errors import InputError, reason
from yolox_core.training.checkpoint import NAME, PROGRESS

LOOK_EVERY_S = 2.0
SENT_WITHIN_S = 600.0  # at a run's end


class CheckpointSync:
    """The checkpoints of one run, in `folder` and at `address`. In its block what is written there is sent on.

    A store that fails then costs the training nothing: it is said once, and what is missing goes with a later one.
    """

    def __init__(self, address: str, folder: Path) -> None:
        """InputError where no store is known for the address."""
        import fsspec

        self._address, self._folder = address, folder
        try:
            self._store, self._root = fsspec.core.url_to_fs(address)
        except (ImportError, ValueError) as unknown:
            raise InputError(f"YOLOX_CHECKPOINTS={address}: cannot be used ({unknown}).") from unknown
        self._sent: dict[str, tuple[int, int]] = {}  # name -> size and time of what was sent
        self._failing = False
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._send_on, name="checkpoint-sync", daemon=True)

    def download(self) -> None:
        """Fetch the checkpoints where the address has a newer one than the folder. InputError where it fails."""
        try:
            there = self._there()
            if _newest(there) <= _newest(self._here()):
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            for name in sorted(there):  # `best`, the epochs, progress.json: as they were written
                part = self._folder / f"{name}.{os.getpid()}.part"
                self._store.get_file(f"{self._root}/{name}", str(part))
                part.replace(self._folder / name)
        except Exception as failed:  # each kind of store has errors of its own
            raise self._unusable("read", failed) from failed

    def is_begun(self) -> bool:
        """Whether the address has a checkpoint. InputError where nobody can tell."""
        try:
            return bool(_newest(self._there()))
        except Exception as failed:
            raise self._unusable("read", failed) from failed

    def clear(self) -> None:
        """Remove what lies at the address. InputError where it fails."""
        try:
            for name in self._there():
                self._store.rm_file(f"{self._root}/{name}")
        except Exception as failed:
            raise self._unusable("cleared", failed) from failed

    def __enter__(self) -> "CheckpointSync":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join(SENT_WITHIN_S + LOOK_EVERY_S)
        if self._thread.is_alive() or self._failing:
            print(f"{self._address}: not everything was sent within {SENT_WITHIN_S:.0f} s", file=sys.stderr)

    def _send_on(self) -> None:
        while not self._ending.wait(LOOK_EVERY_S):
            self._try_to_send()
        deadline_s = time.monotonic() + SENT_WITHIN_S
        while not self._try_to_send() and time.monotonic() < deadline_s:
            time.sleep(LOOK_EVERY_S)

    def _try_to_send(self) -> bool:
        try:
            self._send()
            self._failing = False
        except Exception as failed:
            if not self._failing:
                print(f"{self._unusable('written', failed)} Training continues.", file=sys.stderr)
            self._failing = True
        return not self._failing

    def _send(self) -> None:
        here = self._here()
        for name in sorted(here):
            try:
                status = here[name].stat()
            except FileNotFoundError:  # a newer one has taken its place
                continue
            if self._sent.get(name) == (status.st_size, status.st_mtime_ns):
                continue
            target = f"{self._root}/{name}"
            self._store.makedirs(self._root, exist_ok=True)
            try:
                self._store.put_file(str(here[name]), f"{target}.part")
            except FileNotFoundError:
                if here[name].exists():
                    raise
                continue
            self._store.mv(f"{target}.part", target)
            self._sent[name] = (status.st_size, status.st_mtime_ns)
        newest = _newest(here)
        for name in self._there() - set(here):
            if name < newest:  # and not what another node has written since, to which the run has gone
                self._store.rm_file(f"{self._root}/{name}")

    def _here(self) -> dict[str, Path]:
        return {path.name: path for path in self._folder.glob("*") if _is_sent(path.name)}

    def _there(self) -> set[str]:
        self._store.invalidate_cache()
        if not self._store.exists(self._root):
            return set()
        names = {path.rpartition("/")[2] for path in self._store.ls(self._root, detail=False)}
        return set(filter(_is_sent, names))

    def _unusable(self, verb: str, failed: Exception) -> InputError:
        return InputError(
            f"YOLOX_CHECKPOINTS: {self._address}: cannot be {verb} ({type(failed).__name__}: {reason(failed, 160)}). "
            "It names where checkpoints are kept; its credentials are the store's own."
        )


def _is_sent(name: str) -> bool:
    return name.endswith(".pt") or name == PROGRESS


def _newest(names: Iterable[str]) -> str:
    return max((name for name in names if NAME.fullmatch(name)), default="")
