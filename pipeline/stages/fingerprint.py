"""Stage `fingerprint`: what the sources and the initial weights look like, cheaply enough to run every time.

DVC cannot watch a folder outside the project without hashing all of it; this digest of names, sizes and times
changes when images are added or altered, and ingest depends on it. Nothing is fetched for it.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.entry import stage_main
from pipeline.settings import DataSettings, Settings
from pipeline.source import check_raw_is_ours, user_path
from pipeline.sources.resolve import digest_of
from pipeline.tracking.resolve import PREFIX, registered_digest
from yolox_core.datasets.atomic import write_json
from yolox_core.datasets.synthetic import GENERATOR_VERSION
from yolox_core.errors import InputError


def run(settings: Settings) -> None:
    """Write data/fingerprint.json and data/weights.json; the same source gives the same bytes."""
    check_raw_is_ours()
    source, files = source_digest(settings.data)
    weights = weights_digest(settings.model.weights)
    write_json(paths.FINGERPRINT, {"source": source, "files": files})
    write_json(paths.WEIGHTS, {"digest": weights})
    print(f"fingerprint: {files} files in {settings.data.shown}, {source[:12]}")


def source_digest(data: DataSettings) -> tuple[str, int]:
    """(digest, number of files) of the sources; InputError where one of them is not there."""
    if not data.sources:
        drawn: dict[str, Any] = {"generator": GENERATOR_VERSION, "images": data.synthetic.images}
        return _sha256(json.dumps({**drawn, "seed": data.synthetic.seed})), data.synthetic.images
    digests = [digest_of(source) for source in data.sources]
    files = sum(digest.files for digest in digests)
    return digests[0].text if len(digests) == 1 else _sha256("\n".join(digest.text for digest in digests)), files


def weights_digest(reference: str | None) -> str | None:
    """sha256 of a weights file, a released folder, or a registered version's weights."""
    if reference is None:
        return None
    if reference.startswith(PREFIX):
        return registered_digest(reference)
    path = user_path(reference)
    if path.is_file():
        return _file_sha256(path)
    if path.is_dir():
        files = sorted(entry for entry in path.iterdir() if entry.is_file())
        return _sha256("\n".join(f"{entry.name}\t{_file_sha256(entry)}" for entry in files))
    raise InputError(f"model.weights: expected a weights file, got {reference!r}: no such file. Check the path.")


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


if __name__ == "__main__":
    stage_main(run)
