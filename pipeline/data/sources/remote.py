"""Folders and archives at fsspec addresses (s3://, gs://, sftp:// ...), and in DVC repositories elsewhere.

A folder is copied file by file; a journal says of which version each one is, so that a copy that was cut goes on, and
what is unchanged is never fetched again. Only files that a data set's readers look at are copied.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.config.source_spec import SourceSettings
from pipeline.console.extras import BY_MODULE, install
from pipeline.console.progress_bar import Transfer
from pipeline.data.sources.limits import Budget
from pipeline.data.sources.safe_names import inner_name
from yolox_core.atomic_files import write_text
from yolox_core.data.image_kinds import IMAGE_SUFFIXES
from yolox_core.errors import InputError, reason

ANNOTATION_SUFFIXES = frozenset({".json", ".xml", ".txt", ".yaml", ".yml", ".names", ".csv", ".tsv"})
WATCHED = IMAGE_SUFFIXES | ANNOTATION_SUFFIXES  # what the readers look at
COPIERS = 8  # threads
CHUNK = 2**20  # bytes
DVC = "dvc://"
EXTRAS = {"s3": "s3", "s3a": "s3", "dvc": "train"}  # protocol -> the extra of this package that reads it
# what tells one version of a file from another, the surest first, as fsspec's file systems call it
VERSIONS = (
    *("ETag", "etag", "md5", "md5Hash", "sha256", "sha", "checksum"),
    *("LastModified", "last_modified", "mtime", "modify", "updated", "created"),
)


@dataclass(frozen=True)
class RemoteFile:
    """A file there."""

    path: str  # as the file system calls it
    size: int | None  # bytes; None where it is not told
    version: str

    @property
    def state(self) -> str:
        """Another one for another content."""
        return f"{self.size}\t{self.version}"


@dataclass(frozen=True)
class Remote:
    """An address, opened."""

    source: SourceSettings
    system: Any  # fsspec's file system
    root: str  # the folder or archive there
    commit: str | None = None  # the version of what git keeps, in a DVC repository

    @classmethod
    def of(cls, source: SourceSettings) -> "Remote":
        """Connect. InputError where the address is none, or nothing installed reads it."""
        with _told(source):
            if source.path.startswith(DVC):
                return _dvc(source)
            from fsspec.core import url_to_fs

            system, root = url_to_fs(source.path)
            system.invalidate_cache()  # it may have looked there before
            return cls(source, system, root)

    def archive(self) -> RemoteFile:
        """The archive, as it is now."""
        with _told(self.source):
            return self._file(self.root, self.system.info(self.root))

    def folder(self) -> dict[str, RemoteFile]:
        """The files that count in the folder, by their names in it, sorted."""
        with _told(self.source):
            found = _files_below(self.system, self.root)
            inside = self.root.rstrip("/") + "/" if self.root.strip("/") else ""
            files = {}
            for path, info in sorted(found.items()):
                if PurePosixPath(path).suffix.lower() in WATCHED and path.startswith(inside):
                    name = inner_name(path.removeprefix(inside).lstrip("/"), self.source.shown)
                    if name in files:
                        raise InputError(f"{self.source.shown}: expected each name once, got {name!r} twice.")
                    files[name] = self._file(path, info)
            if not files:
                raise InputError(
                    f"{self.source.shown}: expected a folder of annotated images, got {len(found)} files and none of "
                    "them an image or annotation. Check the address."
                )
            return files

    def fetch(self, file: RemoteFile, path: Path, transfer: Transfer) -> None:
        """Copy one file to `path`, whole or not at all."""
        digest = hashlib.sha256(path.name.encode()).hexdigest()[:16]  # a name may be as long as names can be
        partial = path.with_name(f".{digest}.partial")
        room = Budget(path.parent, self.source.shown)
        try:
            with _told(self.source), self.system.open(file.path, "rb") as there, partial.open("wb") as here:
                while chunk := there.read(CHUNK):
                    room.spend(len(chunk), files=0)
                    here.write(chunk)
                    transfer.advance(len(chunk))
            size = partial.stat().st_size
            if file.size is not None and size != file.size:
                raise InputError(
                    f"{self.source.shown}: {file.path}: expected {file.size} bytes, got {size}: it changed meanwhile. "
                    "Run it again."
                )
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    def _file(self, path: str, info: Mapping[str, Any]) -> RemoteFile:
        version = next((str(info[key]) for key in VERSIONS if info.get(key)), self.commit)
        if version is None:
            raise InputError(
                f"{self.source.shown}: expected files whose changes can be told, got no time or digest of {path}. "
                "Copy them here yourself, and name the folder."
            )
        return RemoteFile(path, info.get("size"), version)


def _files_below(system: Any, root: str) -> dict[str, Mapping[str, Any]]:
    """What fsspec's `find` gives. That passes over folders that may not be read; where there are such, they are walked
    here: a store of objects finds its files without folders.
    """
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    finds = getattr(type(system), "_find", type(system).find)
    if finds not in (AbstractFileSystem.find, AsyncFileSystem._find):
        return dict(system.find(root, detail=True))
    found: dict[str, Mapping[str, Any]] = {}
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        for info in system.ls(folder, detail=True):
            name = str(info["name"])
            if info["type"] != "directory":
                found[name] = info
            elif name.rstrip("/") != folder.rstrip("/"):
                waiting.append(name)
    return found


def copy_folder(remote: Remote, files: Mapping[str, RemoteFile], folder: Path) -> int:
    """Make `folder` hold these files and no others; how many had to be fetched. Cut, it goes on when called again."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = folder.with_name("journal.jsonl")
    held = _held(journal)
    for path in sorted(folder.rglob("*"), reverse=True):  # what lies in a folder comes before it
        name = path.relative_to(folder).as_posix()
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif name not in files or held.get(name) != files[name].state:
            path.unlink()
    missing = [name for name in files if not (folder / name).is_file()]
    sizes = [files[name].size or 0 for name in missing]
    Budget(folder, remote.source.shown).spend(sum(sizes), len(sizes))
    if missing:
        _fetch_all(remote, {name: files[name] for name in missing}, folder, journal)
        write_text(journal, "".join(_line(name, file) for name, file in files.items()))  # without what is past
    return len(missing)


def _fetch_all(remote: Remote, files: Mapping[str, RemoteFile], folder: Path, journal: Path) -> None:
    writing = threading.Lock()
    total = sum(file.size or 0 for file in files.values()) or None
    with Transfer(remote.source.shown, 0, total) as transfer, journal.open("a", encoding="utf-8") as log:

        def fetch(name: str) -> None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            remote.fetch(files[name], path, transfer)
            with writing:
                log.write(_line(name, files[name]))
                log.flush()

        with ThreadPoolExecutor(COPIERS) as pool:
            try:
                list(pool.map(fetch, files))
            except BaseException:
                pool.shutdown(cancel_futures=True)  # the first failure is the answer
                raise


def _line(name: str, file: RemoteFile) -> str:
    return json.dumps([name, file.state]) + "\n"


def _held(journal: Path) -> dict[str, str]:
    """name -> state of what was fetched; the last line of a name counts, and one that was cut does not."""
    held = {}
    lines = journal.read_text(encoding="utf-8").split("\n")[:-1] if journal.is_file() else []
    for line in lines:
        try:
            name, state = json.loads(line)
        except ValueError:
            continue  # a cut line, gone on with by the next
        held[name] = state
    return held


def _dvc(source: SourceSettings) -> Remote:
    """`dvc://REPOSITORY@REVISION:PATH`, a folder or archive that git or DVC keeps in another repository."""
    repository, _, path = source.path.removeprefix(DVC).rpartition(":")
    url, _, revision = repository.rpartition("@")
    if not url or not revision or not path.strip("/"):
        raise InputError(
            f"{source.shown}: expected dvc://REPOSITORY@REVISION:PATH, with a tag, branch or commit as the revision."
        )
    from dvc.api import DVCFileSystem

    system = DVCFileSystem(url, rev=revision)
    return Remote(source, system, path.strip("/"), system.repo.get_rev())


@contextmanager
def _told(source: SourceSettings) -> Iterator[None]:
    """Each kind of store has errors of its own; what they say becomes one line."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as missing:
        raise InputError(f"{source.shown}: expected images, got nothing there ({reason(missing)}).") from missing
    except ImportError as missing:
        protocol = source.path.partition("://")[0]
        extra = EXTRAS.get(protocol) or BY_MODULE.get(missing.name or "")
        raise InputError(
            f"{source.shown}: expected a package that reads {protocol}://, got none ({reason(missing)}). "
            + (f"Run: {install(extra)}." if extra else "Install the package that it names.")
        ) from missing
    except Exception as failed:
        raise InputError(
            f"{source.shown}: expected images there, got {type(failed).__name__} ({reason(failed)}). "
            "Check address, rights and network."
        ) from failed
