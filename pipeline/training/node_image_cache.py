"""Images on a node that has none: fetched once from where they lie, verified, and kept in a bounded folder.

They lie at an address under their names, or in a DVC remote under their md5. Files are kept by the sha256 of their
content, so that runs and workers of a node share them, and a changed data set never meets an old file.
"""

import hashlib
import os
import random
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.cluster.store import endpoint
from pipeline.config.digests import file_sha256
from yolox_core.atomic_files import write_bytes
from yolox_core.errors import InputError, reason

SWEEP_AFTER = 0.02  # of the limit: how much all processes of a node fetch together, on average, between looks at it
FREED_TO = 0.9  # of the limit
TRIES = 3
TRIES_OF_STORE = 100  # of what was found there before the run began: about ten minutes, or a few hours of timeouts
LONGEST_WAIT_S = 6.0
CERTAIN = (FileNotFoundError, PermissionError, ImportError, ValueError)  # another try would not change these
S3 = ("s3://", "s3a://")
SETTINGS = "AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def is_address(images: str) -> bool:
    """Whether images lie at an fsspec address, and not in a folder of this machine."""
    return "://" in images


@dataclass
class NodeImageCache:
    """Brings images here by name, about `limit_bytes` of them in `folder`; the longest unused make room."""

    address: str  # of the folder, as fsspec writes it: s3://bucket/images
    digests: Mapping[str, str]  # file name -> sha256
    folder: Path
    limit_bytes: int
    objects: Mapping[str, str] = field(default_factory=dict)  # file name -> md5, where the folder is a DVC remote's
    options: Mapping[str, str] = field(default_factory=dict)  # of the address, for fsspec: never a key
    _chance: random.Random = field(default_factory=random.Random)  # of its own: training's draws are not touched

    def __call__(self, file_name: str) -> Path:
        """Where the image lies on this machine. InputError where it cannot be fetched, or is another one."""
        digest = self.digests[file_name]
        path = self.folder / digest[:2] / digest
        try:
            os.utime(path)  # used just now
        except FileNotFoundError:
            content = self._fetched(file_name, digest)
            write_bytes(path, content)
            self._make_room(len(content))
        return path

    def _fetched(self, file_name: str, digest: str) -> bytes:
        import fsspec

        where = self.where(file_name)
        tries = TRIES_OF_STORE if self.objects else TRIES
        for attempt in range(1, tries + 1):
            try:
                with fsspec.open(where, "rb", **self.options) as source:
                    content: bytes = source.read()
                break
            except Exception as failed:  # each kind of store has errors of its own
                if attempt == tries or isinstance(failed, CERTAIN):
                    raise _unread(where, failed, file_name if self.objects else None) from failed
                time.sleep(min(2 ** (attempt - 1), LONGEST_WAIT_S))
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            raise _another(_place(where), digest, found)
        return content

    def where(self, file_name: str) -> str:
        """The address of one image."""
        md5 = self.objects.get(file_name)
        return f"{self.address.rstrip('/')}/{f'{md5[:2]}/{md5[2:]}' if md5 else file_name}"

    def _make_room(self, fetched: int) -> None:
        # by chance, so that however many processes fetch, they look as often for what they fetch together
        if self._chance.random() > fetched / (SWEEP_AFTER * self.limit_bytes):
            return
        held = []
        for path in self.folder.glob("??/" + "?" * 64):  # not what is being written
            with suppress(FileNotFoundError):  # another process made room as well
                told = path.stat()
                held.append((told.st_mtime_ns, told.st_size, path))
        excess = sum(size for _, size, _ in held) - self.limit_bytes
        if excess <= 0:
            return
        excess += round((1 - FREED_TO) * self.limit_bytes)
        for used_ns, size, path in sorted(held):
            if excess <= 0:
                return
            with suppress(FileNotFoundError):
                if path.stat().st_mtime_ns == used_ns:  # nobody has used it since
                    path.unlink()
                    excess -= size


def check_folder(folder: Path, digests: Mapping[str, str], worker: str) -> None:
    """InputError where a folder that every node should share is not there, or holds other images."""
    names = sorted(digests)
    for name in {names[0], names[len(names) // 2], names[-1]}:
        path = folder / name
        try:
            found = file_sha256(path)
        except OSError as missing:
            raise InputError(
                f"{worker}: {path}: not on this node ({missing.strerror}). Set YOLOX_STORE to an address that "
                "all nodes can read, or YOLOX_IMAGES; or share the project's folder among the nodes."
            ) from missing
        if found != digests[name]:
            raise _another(f"{worker}: {path}", digests[name], found)


def _place(where: str) -> str:
    """An address as a message names it: with the S3 store that this node is set to, and with the node."""
    return f"{where}{endpoint(where)}, read on {socket.gethostname()}"


def _unread(where: str, failed: Exception, object_of: str | None) -> InputError:
    """`object_of`: the image, where it is an object of a DVC remote."""
    said = reason(failed, 160)
    image = f"the image {object_of}" if object_of else "an image"
    if isinstance(failed, FileNotFoundError):
        advice = "Copy data/raw/images there, or set YOLOX_IMAGES to where it lies."
        return InputError(
            f"{_place(where)}: expected {image}, got none ({said}). {'Run `dvc push` again.' if object_of else advice}"
        )
    if isinstance(failed, ImportError):
        return InputError(
            f"{_place(where)}: expected a package that reads such an address, got none ({said}). "
            "Install it on every node, or set YOLOX_IMAGES to another address."
        )
    told = f" with its {SETTINGS}" if where.startswith(S3) else ""
    return InputError(
        f"{_place(where)}: expected the image, got {type(failed).__name__} ({said}). "
        f"Check {'the DVC remote' if object_of else 'YOLOX_IMAGES'}, and that every node can read there{told}."
    )


def _another(where: str, digest: str, found: str) -> InputError:
    return InputError(
        f"{where}: expected the image that was prepared (sha256 {digest[:12]}), got another ({found[:12]}). "
        "Copy data/raw/images there again."
    )
