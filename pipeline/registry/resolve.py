"""`models:/name@alias` and `models:/name/3` -> a released folder on this machine.

A reference costs one lookup. What a server holds is fetched once and kept (model_cache.py); a store of files on this
machine is read in place.
"""

import re
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.digests import folder_digests, listing_sha256, text_sha256
from pipeline.registry.bounded_wait import answer_within
from pipeline.registry.model_cache import kept
from pipeline.registry.relocation import located, on_this_machine
from pipeline.registry.store import (
    DATABASE,
    SOME_TRIES,
    ask,
    connect,
    is_default,
    is_server,
    limited,
    shown,
    tracking_uri,
)
from yolox_core.config import SPEC_FILE, WEIGHTS_FILE
from yolox_core.errors import InputError, nearest, sentence

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

PREFIX = "models:/"
WEIGHTS_TAG = "model.sha256"
RELEASED_TAG = "released.sha256"  # of all files of the released folder; earlier releases did not set it
ADVICE = "Start it, or name another store in MLFLOW_TRACKING_URI."
FETCHED_WITHIN_S, SILENT_S = 600.0, 5.0  # of a version's files; until a line says what is waited for
LONGEST_VERSION = 9  # digits; MLflow keeps a version as a 32 bit number
_SHA256 = re.compile("[0-9a-f]{64}")
_REFERENCE = re.compile(r"models:/+(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


@dataclass(frozen=True)
class Registered:
    """A version of a registered model."""

    name: str
    version: str
    _found: "ModelVersion" = field(compare=False, repr=False)
    _uri: str = field(compare=False, repr=False)

    def folder(self) -> Path:
        """Its released folder on this machine, fetched if need be; InputError where that fails."""
        return released_folder(self._found, self._uri)


def registered(reference: str) -> Registered:
    """What the reference stands for now: an alias may move. InputError where the registry knows no such model."""
    version, uri = lookup(reference)
    return Registered(version.name, str(version.version), version, uri)


def resolve(reference: str) -> Path:
    """The released folder of a registered model; InputError names what the registry knows where it is not there."""
    return released_folder(*lookup(reference))


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
    name, alias, number = parts["name"], parts["alias"], parts["version"]

    def version(client: "MlflowClient") -> "ModelVersion | None":
        if alias is not None:
            return client.get_model_version_by_alias(name, alias)
        return client.get_model_version(name, number) if len(number) <= LONGEST_VERSION else None

    found = ask(uri, version, where=reference, advice=ADVICE)
    if found is None:
        raise InputError(f"{reference}: {_what_is_known(connect(uri, advice=ADVICE, new=False), name, alias)}")
    return found, uri


def digest_of(version: "ModelVersion") -> str:
    """sha256 of the version's weights."""
    return version.tags.get(WEIGHTS_TAG) or f"{version.name}/{version.version}"


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


def released_folder(version: "ModelVersion", uri: str) -> Path:
    """The version's released folder, with the registered files: in the store itself, or kept here after one fetch."""
    here = None if is_server(uri) else on_this_machine(_stored_at(version, uri))
    if here is not None:
        return _checked(_released_in(here / "artifacts", version), version)
    return kept(_name(version, uri), lambda folder: _fetch(version, uri, folder))


def check_stored(version: "ModelVersion", uri: str) -> None:
    """InputError where the store no longer has the version's files, whatever is kept of them here."""
    here = on_this_machine(_stored_at(version, uri))
    if here is not None:
        _checked(_released_in(here / "artifacts", version), version)
        return
    with tempfile.TemporaryDirectory(prefix="yolox-model-") as folder:
        _fetch(version, uri, Path(folder))


def _name(version: "ModelVersion", uri: str) -> str:
    """What it is kept under: the sha256 of its files, or where that was not registered, of which version it is."""
    digest = version.tags.get(RELEASED_TAG, "")
    if _SHA256.fullmatch(digest):  # it becomes a folder's name
        return digest
    made = (shown(uri), version.name, version.version, version.creation_timestamp, version.source)
    return text_sha256("\n".join(map(str, made)))


def _stored_at(version: "ModelVersion", uri: str) -> str:
    """The address of the version's files."""
    where = f"{PREFIX}{version.name}/{version.version}"
    number = str(version.version)
    found = ask(
        uri, lambda client: client.get_model_version_download_uri(version.name, number), where=where, advice=ADVICE
    )
    if not found:
        raise InputError(f"{where}: {shown(uri)} does not say where its files are. Register the model again.")
    return located(found, uri)


def _fetch(version: "ModelVersion", uri: str, folder: Path) -> None:
    """Put the version's released files into an empty folder; InputError where they are not those of the registry."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    # a thread that is given up may still write into it
    with tempfile.TemporaryDirectory(prefix=".fetched-", dir=folder.parent, ignore_cleanup_errors=True) as fetched:
        address = f"{_stored_at(version, uri)}/artifacts"
        waiting = f"fetching {PREFIX}{version.name}/{version.version} from {shown(uri)}"
        try:
            with limited(SOME_TRIES):
                found = Path(
                    answer_within(
                        FETCHED_WITHIN_S,
                        lambda: download_artifacts(artifact_uri=address, tracking_uri=uri, dst_path=fetched),
                        waiting,
                        SILENT_S,
                    )
                )
        except (MlflowException, OSError) as error:
            where = f"{PREFIX}{version.name}/{version.version}"
            raise InputError(f"{where}: its files cannot be fetched from {shown(uri)}: {sentence(error)}") from error
        for path in _checked(_released_in(found, version), version).iterdir():
            shutil.move(path, folder / path.name)


def _released_in(artifacts: Path, version: "ModelVersion") -> Path:
    found = sorted(artifacts.glob(f"**/{SPEC_FILE}"))
    if len(found) != 1:
        raise InputError(
            f"{PREFIX}{version.name}/{version.version}: no detector of this project: expected one model.json among its "
            f"artifacts, got {len(found)}."
        )
    return found[0].parent


def _checked(folder: Path, version: "ModelVersion") -> Path:
    """The folder itself; InputError where its files are not those that were registered."""
    digests, tags = folder_digests(folder), version.tags
    if WEIGHTS_TAG in tags and digests.get(WEIGHTS_FILE) != tags[WEIGHTS_TAG]:
        changed = WEIGHTS_FILE
    elif RELEASED_TAG in tags and listing_sha256(digests) != tags[RELEASED_TAG]:
        changed = "a file"
    else:
        return folder
    raise InputError(
        f"{PREFIX}{version.name}/{version.version}: {changed} of version {version.version} is not what was registered. "
        "Its files were changed or lost; register the model again."
    )
