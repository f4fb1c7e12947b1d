"""Model references, as in `--model` and `model.weights`: from a reference to files, and to a digest of them.

A reference is a released folder, a .pt, a Megvii .pth, an .onnx, an .xml, or models:/name@alias; resolve.py fetches the
last kind from MLflow. Which weights a run started from is recorded here, too, for lineage.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config.digests import file_sha256, folder_digests, listing_sha256
from pipeline.config.user_paths import user_path
from pipeline.registry.resolve import PREFIX, digest_of, lookup, resolve
from yolox_core.config import ModelConfig
from yolox_core.errors import InputError

RANDOM = "random"  # where a run started from no weights
STARTED_FROM = "started_from"  # in a run's summary: which initial weights these were


def locate(reference: str) -> Path:
    """Where the model lies on this machine, fetched if need be; InputError where there is none."""
    return resolve(reference) if reference.startswith(PREFIX) else user_path(reference)


def initial_weights(reference: str | None, model: ModelConfig, class_rows: str | None = None) -> str | None:
    """Where the weights to start from lie; InputError where they are of another architecture, or have other rows."""
    if reference is None:
        return None
    from yolox_core.model.weights import load_weights, read_weights  # here: PyTorch, which a digest does without
    from yolox_core.model.yolox import YOLOX

    path = locate(reference).resolve()
    load_weights(YOLOX(model), read_weights(path), class_rows=class_rows)
    return str(path)


def origin(reference: str | None, digest: str | None) -> dict[str, Any] | None:
    """Which weights a run starts from, for those who ask later: an alias may move, a file may be replaced.

    `digest` is what the fingerprint stage saw; InputError where an alias has moved since.
    """
    if reference is None:
        return None
    if not reference.startswith(PREFIX):
        return {"reference": reference, "digest": digest}
    version, _ = lookup(reference)
    if digest_of(version) != digest:
        raise InputError(
            f"model.weights: expected {reference} as the fingerprint stage found it, got version {version.version}: "
            "the alias has moved since. Run `dvc repro` again."
        )
    return {"reference": reference, "digest": digest, "version": f"{version.name}/{version.version}"}


def origin_tags(summary: Mapping[str, Any]) -> dict[str, str]:
    """Tags about the weights that a run started from, of its summary; none where it was made before they were kept."""
    if STARTED_FROM not in summary:
        return {}
    found = summary[STARTED_FROM] or {"reference": RANDOM}
    names = {"reference": "initial.weights", "digest": "initial.digest", "version": "parent"}
    return {tag: str(found[name]) for name, tag in names.items() if found.get(name) is not None}


def weights_digest(reference: str | None) -> str | None:
    """sha256 of a weights file, a released folder, or a registered version's weights."""
    if reference is None:
        return None
    if reference.startswith(PREFIX):
        return digest_of(lookup(reference)[0])
    path = user_path(reference)
    if path.is_file():
        return file_sha256(path)
    if path.is_dir():
        return listing_sha256(folder_digests(path))
    raise InputError(f"model.weights: expected a weights file, got {reference!r}: no such file. Check the path.")
