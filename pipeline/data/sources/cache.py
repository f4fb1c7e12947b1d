"""Where sources that are no folder are brought to: `data/sources`, one place for each path or address.

A place holds `files/`, to be read, and `state.json`, which says of what they are the copy; without it they are not
trusted. Whoever fills a place holds its lock, so that two commands at once do the work once. The lock ends with its
process. `data/sources` may be deleted at any time.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from pipeline.config.source_spec import SourceSettings
from yolox_core.atomic_files import write_json, write_text

CACHE = Path("data/sources")  # beside what the stages write
IGNORES = (".gitignore", ".dvcignore")  # whatever a source holds, a dvc.yaml for instance, is none of the project's
NAME_LENGTH, HASH_LENGTH = 40, 12  # characters

State = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """One source's folder in the cache."""

    root: Path

    @classmethod
    def of(cls, source: SourceSettings) -> "Place":
        """The place of this path or address, and of no other."""
        digest = hashlib.sha256(source.path.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_LENGTH]
        return cls(CACHE / f"{source.short_name.strip('.')[:NAME_LENGTH] or 'data'}-{digest}")

    @property
    def files(self) -> Path:
        """What is read."""
        return self.root / "files"

    @property
    def state(self) -> State:
        """Of what `files` is the copy; empty where it is of nothing."""
        try:
            state = json.loads((self.root / "state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) and self.files.is_dir() else {}

    def trust(self, state: State) -> None:
        """`files` is from now on the copy of this."""
        write_json(self.root / "state.json", state)

    def distrust(self) -> None:
        """`files` is about to change."""
        (self.root / "state.json").unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone with the place; waits for whoever else fills it."""
        self.root.mkdir(parents=True, exist_ok=True)
        for name in IGNORES:
            if not (CACHE / name).exists():
                write_text(CACHE / name, "*\n")
        with FileLock(self.root / "lock"):
            yield
