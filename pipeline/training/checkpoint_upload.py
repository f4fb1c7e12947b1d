"""A run's checkpoints through Ray Train into the store: Ray's upload thread sends them, and waits where it fails.

Ray 2.60 ends a run at the first exception of an upload, and at a snapshot that its controller cannot write. So both
try again until the store answers: `CheckpointUpload` is Ray's `checkpoint_upload_fn`, `retrying_files` its
`storage_filesystem`, which is also how any fsspec address can be its `storage_path`.
"""

import io
import json
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow
from pyarrow.fs import FSSpecHandler, PyFileSystem

from pipeline.cluster.store import Store, is_object_store, until_it_answers
from pipeline.training.checkpoint_sync import CheckpointSync
from yolox_core.training.checkpoint import PROGRESS

if TYPE_CHECKING:
    from ray.train import Checkpoint

WRITTEN_EVERY_S = 0.1
SNAPSHOT = "checkpoint_manager_snapshot.json"  # Ray's own book of a run's checkpoints


class CheckpointUpload:
    """Sends a run's checkpoints, in Ray's upload thread, as the engine reports them."""

    def __init__(self, sync: CheckpointSync, folder: Path, tell: Callable[[str], None]) -> None:
        """`tell` passes a line on to the user."""
        self._sync, self._folder, self._tell = sync, folder, tell
        self._ended = threading.Event()

    def of(self, written: str | None) -> "Callable[[Checkpoint, str], Checkpoint]":
        """Ray's `checkpoint_upload_fn` after a report, with the name of the file that is still being written."""

        def upload(checkpoint: "Checkpoint", name: str) -> "Checkpoint":
            from ray.train import Checkpoint, get_context

            while written and not self._is_written(written) and not self._ended.wait(WRITTEN_EVERY_S):
                pass
            until_it_answers(self._sync.send, self._say)
            storage: Any = get_context().get_storage()
            return Checkpoint(storage.build_checkpoint_path_from_name(name), storage.storage_filesystem)

        return upload

    def end(self) -> None:
        """The engine has ended, well or not: no file is waited for any more."""
        self._ended.set()

    def _is_written(self, name: str) -> bool:
        """Whether progress.json, which the engine writes after it, speaks of this checkpoint or of a later one."""
        try:
            told = json.loads((self._folder / PROGRESS).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return bool(told["checkpoint"] >= name)

    def _say(self, failed: BaseException | None) -> None:
        if failed is None:
            self._tell(f"{self._sync.store.address}: answers again; nothing is lost")
        else:
            unusable = self._sync.store.unusable("written", failed)
            self._tell(f"{unusable} Training continues; it is tried until the store answers.")


def retrying_files(store: Store) -> PyFileSystem:
    """The store as a file system for Ray, whose every call is repeated until the store answers."""
    return PyFileSystem(_Retrying(store.system))


class _Retrying(FSSpecHandler):  # type: ignore[misc]  # pyarrow ships no types
    """pyarrow's bridge to fsspec, patient."""

    def get_file_info(self, paths: list[str]) -> Any:
        self.fs.invalidate_cache()
        return until_it_answers(partial(super().get_file_info, paths))

    def get_file_info_selector(self, selector: Any) -> Any:
        self.fs.invalidate_cache()
        return until_it_answers(partial(super().get_file_info_selector, selector))

    def create_dir(self, path: str, recursive: bool) -> None:
        if not is_object_store(self.fs):  # there a folder is no more than a part of names
            until_it_answers(partial(super().create_dir, path, recursive))

    def delete_dir(self, path: str) -> None:
        until_it_answers(partial(super().delete_dir, path))

    def delete_file(self, path: str) -> None:
        until_it_answers(partial(super().delete_file, path))

    def open_input_stream(self, path: str) -> Any:
        return until_it_answers(partial(super().open_input_stream, path))

    def open_input_file(self, path: str) -> Any:
        return until_it_answers(partial(super().open_input_file, path))

    def open_output_stream(self, path: str, metadata: Any) -> Any:
        return pyarrow.PythonFile(_SentWhenClosed(self.fs, path), mode="w")


class _SentWhenClosed(io.BytesIO):
    """A small file of Ray's, written in one piece and whole: its books."""

    def __init__(self, system: Any, path: str) -> None:
        super().__init__()
        self._system, self._path = system, path

    def close(self) -> None:
        if not self.closed:
            until_it_answers(partial(self._system.pipe_file, self._path, self.getvalue()))
        super().close()
