"""Model references, as in `--model` and `model.weights`: from a reference to files, and to a digest of them.

A reference is a released folder, a .pt, a Megvii .pth, an .onnx, an .xml, or models:/name@alias; resolve.py fetches the
last kind from MLflow. `model.weights` may also be the name of published weights (published_weights.py). Which weights a
run started from is recorded here, too, for lineage.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.config.digests import file_sha256, folder_digests, listing_sha256
from pipeline.config.settings import ModelSettings
from pipeline.config.user_paths import user_path
from pipeline.registry.published_weights import (
    COCO,
    COCO_FILES,
    file_name,
    held_digest,
    pinned_digest,
    published_file,
    recognized,
)
from pipeline.registry.resolve import PREFIX, digest_of, lookup, resolve
from yolox_core.config import ModelConfig
from yolox_core.errors import InputError, nearest

RANDOM = "random"  # where a run started from no weights
STARTED_FROM = "started_from"  # in a run's summary: which initial weights these were


def locate(reference: str) -> Path:
    """Where the model lies on this machine, fetched if need be; InputError where there is none."""
    return resolve(reference) if reference.startswith(PREFIX) else user_path(reference)


def initial_weights(settings: ModelSettings, model: ModelConfig) -> str | None:
    """Where the weights to start from lie, fetched if need be.

    InputError where they are of another architecture, or have other rows.
    """
    if settings.weights is None:
        return None
    from yolox_core.model.weights import load_weights, read_weights  # here: PyTorch, which a digest does without
    from yolox_core.model.yolox import YOLOX

    path = (published_file(settings) if settings.weights == COCO else locate(settings.weights)).resolve()
    load_weights(YOLOX(model), read_weights(path), class_rows=settings.class_rows)
    return str(path)


def initial_digest(settings: ModelSettings) -> str | None:
    """sha256 of the weights to start from; of published ones by the pinned digest, without a look at any file."""
    return pinned_digest(settings) if settings.weights == COCO else weights_digest(settings.weights)


def digest_to_use(settings: ModelSettings, fingerprinted: str | None) -> str | None:
    """What the fingerprint stage found; where another file than the published one is kept for `coco`, that one's."""
    return (held_digest(settings) if settings.weights == COCO else None) or fingerprinted


def origin(reference: str | None, digest: str | None) -> dict[str, Any] | None:
    """Which weights a run starts from, for those who ask later: an alias may move, a file may be replaced.

    `digest` is what the fingerprint stage saw; InputError where an alias has moved since.
    """
    if reference is None:
        return None
    if not reference.startswith(PREFIX):
        published = recognized(digest)
        return {"reference": reference, "digest": digest, **({"published": published} if published else {})}
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
    names = {
        "reference": "initial.weights",
        "digest": "initial.digest",
        "published": "initial.published",
        "version": "parent",
    }
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
    raise _unknown(reference)


def _unknown(reference: str) -> InputError:
    path = Path(reference)
    if path.name in map(file_name, COCO_FILES):
        advice = f"Write model.weights: {COCO}, and it is fetched; or check the path."
    elif path.name == reference and not path.suffix:  # no path: meant as a name
        advice = nearest(reference.lower(), [COCO])
    else:
        advice = "Check the path."
    return InputError(f"model.weights: expected {COCO} or a weights file, got {reference!r}: no such file. {advice}")
