"""The store that a cluster shares: one fsspec address, YOLOX_STORE, for runs, submissions and images.

Nothing here keeps a key: each machine reads its own, from the environment that clients of such a store usually read.
"""

import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from yolox_core.errors import InputError, reason

VARIABLE = "YOLOX_STORE"
FILES = "submissions/files"  # what submissions need, each by its sha256
RUNS = "runs"
S3 = ("s3", "s3a")
LONGEST_WAIT_S = 5.0  # between two tries
CERTAIN = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, NotImplementedError)
# the variables that a client of such a store reads, and those without which it has no key
CREDENTIALS = {
    **dict.fromkeys(S3, ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
    **dict.fromkeys(("gs", "gcs"), ("GOOGLE_APPLICATION_CREDENTIALS",)),
    **dict.fromkeys(("abfs", "az"), ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY")),
}
PACKAGES = {**dict.fromkeys(S3, "yolox-pipeline[s3]"), **dict.fromkeys(("gs", "gcs"), "gcsfs")}


class Store:
    """Files at an fsspec address, by names relative to it. InputError, in one line, where it cannot be used."""

    def __init__(self, address: str, variable: str = VARIABLE) -> None:
        """InputError where nothing installed reads such an address."""
        import fsspec

        self.address, self.variable = address.rstrip("/"), variable
        try:
            self.system, self.root = fsspec.core.url_to_fs(self.address)
        except (ImportError, ValueError) as unknown:
            raise InputError(
                f"{variable}={address}, on {socket.gethostname()}: expected an address that this machine can read, got "
                f"{reason(unknown, 160)}. {_install(address)}"
            ) from unknown

    def check(self) -> None:
        """InputError unless a file can be written, read and removed there."""
        name = f".check-{secrets.token_hex(8)}"
        try:
            self.write(name, b"yolox")
            if self.read(name) != b"yolox":
                raise OSError("what was written is not what is read")
            self.remove(name)
        except Exception as failed:  # each kind of store has errors of its own
            raise self.unusable("written and read", failed) from failed

    def path(self, name: str) -> str:
        """Where a file lies, as the file system calls it."""
        return f"{self.root}/{name}" if name else str(self.root)

    def read(self, name: str) -> bytes:
        """A file's content; FileNotFoundError where there is none."""
        content: bytes = self.system.cat_file(self.path(name))
        return content

    def write(self, name: str, content: bytes) -> None:
        """A small file, whole or not at all."""
        self._make_folder(name)
        self.system.pipe_file(self._partial(name), content)
        self._finish(name)

    def send(self, path: Path, name: str) -> None:
        """A file of this machine, whole or not at all. FileNotFoundError where it is gone."""
        self._make_folder(name)
        self.system.put_file(str(path), self._partial(name))
        self._finish(name)

    def fetch(self, name: str, path: Path) -> None:
        """A file to this machine, whole or not at all; FileNotFoundError where there is none."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            self.system.get_file(self.path(name), str(part))
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        self.system.invalidate_cache()
        return bool(self.system.exists(self.path(name)))

    def names(self, folder: str, deep: bool = False) -> set[str]:
        """The files that lie directly in a folder, or `deep` anywhere below it; none where there is no such folder."""
        self.system.invalidate_cache()
        place = self.path(folder)
        try:
            found = self.system.find(place, maxdepth=None if deep else 1, withdirs=False)
        except FileNotFoundError:
            return set()
        return {path.removeprefix(f"{place}/") for path in found if path != place}

    def remove(self, name: str) -> None:
        """One file."""
        self.system.rm_file(self.path(name))

    def unusable(self, verb: str, failed: BaseException) -> InputError:
        """What to say of a failure: the variable, the store's host, this machine, and what it may lack."""
        protocol = self.address.partition("://")[0]
        lacking = [name for name in CREDENTIALS.get(protocol, ()) if not os.environ.get(name)]
        advice = f"Set {' and '.join(lacking)} there, or check the address." if lacking else "Check the address."
        if isinstance(failed, ImportError):
            advice = _install(self.address)
        elif not lacking and protocol in CREDENTIALS:
            advice = f"Check the address, and {' and '.join(CREDENTIALS[protocol])} on that machine."
        return InputError(
            f"{self.variable}={self.address}{endpoint(self.address)}, on {socket.gethostname()}: cannot be {verb} "
            f"({type(failed).__name__}: {reason(failed, 160)}). {advice}"
        )

    def _partial(self, name: str) -> str:
        return self.path(name) if is_object_store(self.system) else f"{self.path(name)}.part"

    def _make_folder(self, name: str) -> None:
        if not is_object_store(self.system):
            self.system.makedirs(self.path(name).rpartition("/")[0], exist_ok=True)

    def _finish(self, name: str) -> None:
        if not is_object_store(self.system):
            self.system.mv(self._partial(name), self.path(name))


def is_object_store(system: Any) -> bool:
    """Whether a file appears there at once, and folders are no more than parts of names."""
    protocols = (system.protocol,) if isinstance(system.protocol, str) else system.protocol
    return any(protocol in CREDENTIALS for protocol in protocols)


def until_it_answers(call: Callable[[], Any], say: Callable[[BaseException | None], None] = lambda failed: None) -> Any:
    """What the call returns once the store answers; `say` gets the first failure, and None when that is over."""
    wait_s, failing = 0.5, False
    while True:
        try:
            result = call()
        except CERTAIN:
            raise
        except Exception as failed:  # each kind of store has errors of its own
            if not failing:
                say(failed)
            failing = True
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        else:
            if failing:
                say(None)
            return result


def endpoint(address: str) -> str:
    """` at http://host:port` where this machine is set to an S3 store that is not Amazon's."""
    found = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return f" at {found}" if found and address.partition("://")[0] in S3 else ""


def _install(address: str) -> str:
    package = PACKAGES.get(address.partition("://")[0])
    return f"Install {package} there." if package else "Install what reads it there, or set another address."
