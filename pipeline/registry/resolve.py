"""`models:/name@alias` and `models:/name/3` -> a released folder on this machine."""

import atexit
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from pipeline.config.digests import file_sha256
from pipeline.registry.store import DATABASE, connect, is_default, is_missing, shown, tracking_uri
from yolox_core.errors import InputError, nearest

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

PREFIX = "models:/"
WEIGHTS_TAG = "model.sha256"
WEIGHTS_FILE = "model.safetensors"
LONGEST_VERSION = 9  # digits; MLflow keeps a version as a 32 bit number
_REFERENCE = re.compile(r"models:/+(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


@dataclass(frozen=True)
class Registered:
    """A version of a registered model."""

    name: str
    version: str


def registered(reference: str) -> Registered:
    """What the reference stands for now: an alias may move. InputError where the registry knows no such model."""
    version, _ = lookup(reference)
    return Registered(version.name, str(version.version))


def resolve(reference: str, into: Path | None = None) -> Path:
    """The released folder of a registered model; InputError names what the registry knows where it is not there.

    In the store itself where that is on this machine; otherwise fetched `into` a folder, which is the caller's to
    remove (None: one that goes when this process ends).
    """
    version, uri = lookup(reference)
    return _released_folder(_download(version, uri, reference, into), version, reference)


def registered_digest(reference: str) -> str:
    """sha256 of the weights that the reference stands for today: an alias may move."""
    version, _ = lookup(reference)
    return version.tags.get(WEIGHTS_TAG) or f"{version.name}/{version.version}"


def lookup(reference: str) -> tuple["ModelVersion", str]:
    """The version that the reference stands for, and the store's address."""
    parts = _REFERENCE.fullmatch(reference)
    if parts is None:
        raise InputError(f"{reference}: expected models:/<name>@<alias> or models:/<name>/<version>.")
    uri = tracking_uri()
    if is_default(uri) and not Path(DATABASE).is_file():
        # connecting would make an empty database here
        raise InputError(
            f"{reference}: no MLflow store at {Path.cwd() / DATABASE}. Run from the project's root after `make repro`, "
            "or set MLFLOW_TRACKING_URI."
        )
    client = connect(uri, advice="Start it, or name another store in MLFLOW_TRACKING_URI.")
    return _version(client, reference, parts["name"], parts["alias"], parts["version"]), uri


def _version(
    client: "MlflowClient", reference: str, name: str, alias: str | None, number: str | None
) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    try:
        if alias is not None:
            return client.get_model_version_by_alias(name, alias)
        if number is not None and len(number) <= LONGEST_VERSION:
            return client.get_model_version(name, number)
    except MlflowException as error:
        if not is_missing(error):
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{reference}: MLflow could not look it up: {reason}") from error
    raise InputError(f"{reference}: {_what_is_known(client, name, alias)}")


def _what_is_known(client: "MlflowClient", name: str, alias: str | None) -> str:
    names = sorted(model.name for model in client.search_registered_models())
    if name not in names:
        known = nearest(name, names) if names else "The registry is empty: run `make repro` first."
        return f"no registered model '{name}'. {known}"
    if alias is not None:
        aliases = sorted(client.get_registered_model(name).aliases)
        return f"'{name}' has no alias '{alias}'. Known: {', '.join(aliases) or 'none'}."
    numbers = sorted(int(version.version) for version in versions(client, name))
    return f"'{name}' has no such version. Known: {', '.join(map(str, numbers)) or 'none'}."


def versions(client: "MlflowClient", name: str) -> list["ModelVersion"]:
    """All versions of a registered model."""
    quote = '"' if "'" in name else "'"
    found: list[ModelVersion] = []
    token: str | None = None
    while token != "":
        page = client.search_model_versions(f"name = {quote}{name}{quote}", page_token=token)
        found.extend(page)
        token = page.token or ""
    return found


def _download(version: "ModelVersion", uri: str, reference: str, into: Path | None) -> Path:
    """The model's files: where they are, for a store on this machine; otherwise fetched."""
    from mlflow import MlflowClient
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    address = f"{PREFIX}{version.name}/{version.version}"
    try:
        kept_at = MlflowClient(uri).get_model_version_download_uri(version.name, str(version.version))
        here = urlparse(kept_at).scheme in ("", "file")
        target = None if here else str(into or _until_the_end())
        return Path(download_artifacts(artifact_uri=address, tracking_uri=uri, dst_path=target))
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{reference}: version {version.version} cannot be fetched from {shown(uri)}: {reason}"
        ) from error


def _until_the_end() -> str:
    """A new temporary folder that goes when this process ends."""
    folder = tempfile.mkdtemp(prefix="yolox-model-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _released_folder(model: Path, version: "ModelVersion", reference: str) -> Path:
    found = sorted((model / "artifacts").glob("**/model.json"))
    if len(found) != 1:
        raise InputError(
            f"{reference}: version {version.version} is no detector of this project: expected one model.json among its "
            f"artifacts, got {len(found)}."
        )
    weights, expected = found[0].with_name(WEIGHTS_FILE), version.tags.get(WEIGHTS_TAG)
    if expected is not None and (not weights.is_file() or file_sha256(weights) != expected):
        raise InputError(
            f"{reference}: {WEIGHTS_FILE} of version {version.version} is not what was registered. "
            "Its files were changed or lost; register the model again."
        )
    return found[0].parent
