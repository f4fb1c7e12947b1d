"""Whether DVC's cache still holds the data that a dvc.lock names."""

import json
from pathlib import Path
from typing import Any

import yaml

from pipeline.config import paths

DATA_STAGES, DATA = ("ingest", "validate", "prepare"), Path("data")  # whose outputs are the data, and where


def lost_data(lock: Path, data_digest: str) -> str | None:
    """What is missing of the data that `lock` names, in a few words; None where it is whole and has this digest."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
    try:
        cache = Repo().cache.local
    except NotDvcRepoError:
        return "there is no DVC repository here to look into"
    wanted: dict[str, str] = {}
    for out in [out for name in DATA_STAGES for out in stages.get(name, {}).get("outs", ())]:
        if Path(out["path"]).is_relative_to(DATA):  # their reports are not cached
            wanted |= _files(cache, out["path"], out["md5"])
    absent = [name for name, md5 in wanted.items() if not cache.exists(md5)]
    if absent:
        return f"{len(absent)} of {len(wanted)} files are not in the DVC cache ({absent[0]}); `dvc pull` may bring them"
    manifest = wanted.get(str(paths.MANIFEST))
    found = None if manifest is None else _content(cache, manifest)["data_digest"]
    return None if found == data_digest else f"the data that it names has the digest {found}"


def _files(cache: Any, path: str, md5: str) -> dict[str, str]:
    """An output's files and their md5, the list of a folder's files first."""
    files = {path: md5}
    if md5.endswith(".dir") and cache.exists(md5):
        files |= {f"{path}/{entry['relpath']}": entry["md5"] for entry in _content(cache, md5)}
    return files


def _content(cache: Any, md5: str) -> Any:
    return json.loads(Path(cache.oid_to_path(md5)).read_text(encoding="utf-8"))
