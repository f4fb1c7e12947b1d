"""Images as objects of a DVC remote: which there are, under which md5, and that all of them are there.

DVC keeps each file of `data/raw` as an object of its own, `<remote>/files/md5/ab/cdef...`, which anything that speaks
fsspec can read. So `dvc push` is the upload of the images, and only what is new goes.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pipeline.config import paths
from yolox_core.errors import InputError, reason

if TYPE_CHECKING:
    from dvc.repo import Repo

OWN = "store"  # the remote in .dvc/config.local that is written here
BELOW = "dvc"  # of YOLOX_STORE
ELSEWHERE = "or set YOLOX_IMAGES to an address that holds data/raw/images."
PUSH_ADVICE = "Run `dvc push` first."


@dataclass(frozen=True)
class RemoteImages:
    """Where images lie as objects."""

    address: str  # fsspec's, of the folder of objects
    objects: Mapping[str, str]  # file name -> md5
    options: Mapping[str, str] = field(default_factory=dict)  # of the address, for fsspec


def remote_images(store: str, names: Iterable[str]) -> RemoteImages:
    """The images `names` in the project's DVC remote, all of them there.

    That is its default remote, where other machines can read it, and otherwise one in the store, which gets what it
    lacks. InputError where images are missing, or the remote keeps them another way.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            objects = _objects(repo, names)
            name = _readable_remote(repo)
            if name is None:
                name = _own_remote(repo, store)
                _push(repo, name, objects)
            _check_there(repo, name, objects)
            url, options = _address(repo, name)
    except DvcException as failed:
        raise InputError(
            f"DVC: the images cannot be found or sent ({reason(failed)}). Mend that, {ELSEWHERE}"
        ) from failed
    return RemoteImages(f"{url.rstrip('/')}/files/md5", objects, options)


def _objects(repo: "Repo", names: Iterable[str]) -> dict[str, str]:
    """The md5 of each image, as dvc.lock names `data/raw`."""
    recorded: dict[str, Any] = {}
    if paths.GRAPH_RECORD.is_file():
        recorded = yaml.safe_load(paths.GRAPH_RECORD.read_text(encoding="utf-8")) or {}
    outs = recorded.get("stages", {}).get("ingest", {}).get("outs", ())
    listing = next((out.get("md5") for out in outs if Path(out["path"]) == paths.RAW), None)
    if not listing:
        raise InputError(
            f"{paths.GRAPH_RECORD}: expected the md5 of {paths.RAW}, got none. Run `dvc repro prepare`, {ELSEWHERE}"
        )
    of_path = {entry["relpath"]: entry["md5"] for entry in json.loads(_listing(repo, listing))}
    wanted = {name: of_path.get(f"{paths.RAW_IMAGES.name}/{name}") for name in names}
    unknown = [name for name, md5 in wanted.items() if md5 is None]
    if unknown:
        raise InputError(
            f"{paths.GRAPH_RECORD}: expected all images of {paths.PREPARED}, got none of {len(unknown)} "
            f"({unknown[0]}). Run `dvc repro prepare`."
        )
    return {name: md5 for name, md5 in wanted.items() if md5 is not None}


def _listing(repo: "Repo", md5: str) -> str:
    """The content of a .dir object: in the cache, or where it was pushed to."""
    cached = Path(repo.cache.local.oid_to_path(md5))
    if cached.is_file():
        return cached.read_text(encoding="utf-8")
    if repo.config["core"].get("remote"):
        odb = repo.cloud.get_remote_odb()
        if odb.exists(md5):
            content: str = odb.fs.cat_file(odb.oid_to_path(md5)).decode()
            return content
    raise InputError(f"DVC: expected the list of {paths.RAW} in the cache, got none. Run `dvc pull {paths.RAW}`.")


def _readable_remote(repo: "Repo") -> str | None:
    """The default remote, where other machines can read it; None where it is a folder here, or there is none."""
    name = repo.config["core"].get("remote")
    if not name:
        return None
    settings = repo.config["remote"].get(name, {})
    for layout in ("version_aware", "worktree"):
        if settings.get(layout):
            raise InputError(
                f"DVC remote {name}: expected one that keeps files by their md5, got {layout}. Set another default "
                f"remote, {ELSEWHERE}"
            )
    url = settings.get("url", "")
    return str(name) if "://" in url and not url.startswith(("file://", "ssh://", "remote://")) else None


def _own_remote(repo: "Repo", store: str) -> str:
    """A remote in the store, in .dvc/config.local, which git ignores."""
    url = f"{store.rstrip('/')}/{BELOW}"
    settings = {"url": url.removeprefix("file://")}
    if endpoint := _endpoint(url):
        settings["endpointurl"] = endpoint
    with repo.config.edit("local") as local:
        if local.get("remote", {}).get(OWN) != settings:
            local.setdefault("remote", {})[OWN] = settings
    return OWN


def _endpoint(url: str) -> str | None:
    found = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return found if url.startswith("s3://") else None


def _push(repo: "Repo", remote: str, objects: Mapping[str, str]) -> None:
    """Send what the remote lacks of these."""
    lacking = _lacking(repo, remote, objects)
    held = repo.cache.local
    gone = [image for image in lacking if not held.exists(objects[image])]
    if gone:
        raise InputError(
            f"DVC: expected {len(objects)} images in the cache, got none of {len(gone)} ({gone[0]}). "
            f"Run `dvc commit ingest` or `dvc pull {paths.RAW}` first."
        )
    if lacking:
        repo.cloud.push([held.get(objects[image]).hash_info for image in lacking], remote=remote)


def _check_there(repo: "Repo", name: str, objects: Mapping[str, str]) -> None:
    lacking = _lacking(repo, name, objects)
    if lacking:
        raise InputError(
            f"DVC remote {name}: expected {len(objects)} images, got none of {len(lacking)} ({lacking[0]}). "
            f"{PUSH_ADVICE}"
        )


def _lacking(repo: "Repo", name: str, objects: Mapping[str, str]) -> list[str]:
    """The images whose objects are not there."""
    odb = repo.cloud.get_remote_odb(name)
    there = set(odb.oids_exist(list(dict.fromkeys(objects.values()))))
    return sorted(name for name, md5 in objects.items() if md5 not in there)


def _address(repo: "Repo", name: str) -> tuple[str, dict[str, str]]:
    """fsspec's address of a remote, and its options that are no keys: of the own one each machine knows the host."""
    settings = repo.config["remote"][name]
    url, host = settings["url"], settings.get("endpointurl")
    options = {"endpoint_url": host} if host and name != OWN and url.startswith("s3://") else {}
    return (url if "://" in url else f"file://{url}"), options
