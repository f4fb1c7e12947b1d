"""Which version a reference stood for when a service last took it up, for one that starts while the store is away.

Kept beside the fetched models (model_cache.py), which may be deleted at any time.
"""

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.digests import folder_digests, text_sha256
from pipeline.registry.model_cache import cache_root
from pipeline.registry.store import shown, tracking_uri
from yolox_core.atomic_files import write_json

FOLDER = "served"


@dataclass(frozen=True)
class Served:
    """A version that was served, and where its released folder lies, whole."""

    name: str
    version: str
    _folder: Path

    def folder(self) -> Path:
        """Its released folder."""
        return self._folder


def remember(reference: str, name: str, version: str, folder: Path) -> None:
    """Keep that `reference` stood for this version. Where nothing can be kept, nothing is: it is for bad days alone."""
    with suppress(OSError, RuntimeError):  # no home; a folder that is read-only
        place = _place(reference)
        place.parent.mkdir(parents=True, exist_ok=True)
        content = {"name": name, "version": version, "folder": str(folder.resolve()), "files": folder_digests(folder)}
        write_json(place, content)


def recall(reference: str) -> Served | None:
    """What `reference` stood for last; None where that is not known, or its files are no longer as they were."""
    try:
        kept = json.loads(_place(reference).read_text(encoding="utf-8"))
        found = Served(str(kept["name"]), str(kept["version"]), Path(kept["folder"]))
        return found if folder_digests(found.folder()) == kept["files"] else None
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):  # nothing there, or nothing that can be used
        return None


def _place(reference: str) -> Path:
    asked = text_sha256("\n".join((shown(tracking_uri()), reference)))
    return cache_root() / FOLDER / f"{asked}.json"
