"""Archives of images, unpacked as if whoever made them meant harm.

Files are written by this module alone, from each member's bytes: no mode, owner, time or link of an archive reaches
the disk, so what `tarfile`'s filters guard against cannot be expressed. What is no plain file or folder, leads out of
the folder, comes twice or is too much ends the unpacking. Python's readers pass over some damage silently (a TAR whose
later headers are broken simply ends there); the ends are therefore checked here.
"""

import bz2
import errno
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

from pipeline.data.sources.limits import LIMITS, Budget, Limits
from pipeline.data.sources.safe_names import inner_name
from yolox_core.errors import InputError, reason

CHUNK = 2**20  # bytes
LARGEST_HEADER = 2**24  # bytes that a TAR may ask for at once: its own long names and attributes are held in memory
ENCRYPTED = 1  # bit of a ZIP member's flags; PKWARE's APPNOTE 4.4.4
NAME_IS_UTF8 = 0x800  # the same
TAR_BLOCK = 512  # bytes; a TAR ends with two blocks of zeros
PACKED: dict[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
# what the standard library raises where a file is not what its name says, or is cut
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    NotImplementedError,
)

Member = tuple[str, int, Callable[[], Any]]  # name, bytes, how its content is opened


def unpack(archive: Path, folder: Path, where: str, limits: Limits = LIMITS) -> int:
    """Write the files of `archive` into the empty `folder`; their number. InputError in one line of `where`."""
    budget = Budget(folder, where, limits, archive.stat().st_size)
    seen: set[str] = set()
    try:
        for name, size, opened in _members(archive, where, budget):
            inner = inner_name(name, where)
            if inner in seen:
                raise _twice(where, inner)
            seen.add(inner)
            budget.spend(size)
            with opened() as content:
                _write(content, size, folder / inner, where)
    except InputError:
        raise
    except DAMAGE as damage:
        raise InputError(f"{where}: damaged or no archive ({reason(damage)}). Fetch or pack it again.") from damage
    except OSError as failed:
        if failed.errno not in (None, errno.EINVAL):  # invalid: a place before the file's start
            raise  # of the disk, and told as such
        raise InputError(f"{where}: damaged or no archive ({reason(failed)}). Fetch or pack it again.") from failed
    if not seen:
        raise InputError(f"{where}: expected an archive of images, got an empty one.")
    return len(seen)


def _members(archive: Path, where: str, budget: Budget) -> Iterator[Member]:
    with archive.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"PK"):
        return _zip_members(archive, where, budget)
    opener = next((opener for magic, opener in PACKED.items() if start.startswith(magic)), None)
    return _tar_members(archive.open("rb") if opener is None else opener(archive), where, budget)


def _zip_members(archive: Path, where: str, budget: Budget) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            mode = stat.S_IFMT(member.external_attr >> 16)
            if mode not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _special(where, member.filename)
            if member.filename.endswith(("/", "\\")):
                budget.spend(0)
                continue
            if member.flag_bits & ENCRYPTED:
                raise InputError(f"{where}: {member.filename!r} is encrypted. Unpack it yourself, and name the folder.")
            yield _zip_name(member, where), member.file_size, partial(file.open, member)


def _zip_name(member: zipfile.ZipInfo, where: str) -> str:
    """A name as it was written: where nothing says UTF-8, Python takes each byte for a sign of code page 437."""
    if "\0" in member.orig_filename:
        return member.orig_filename  # Python cuts it there; refused with the others
    if member.flag_bits & NAME_IS_UTF8 or member.filename.isascii():
        return member.filename
    return member.orig_filename.encode("cp437").decode("utf-8", "surrogateescape")


def _tar_members(packed: IO[bytes], where: str, budget: Budget) -> Iterator[Member]:
    with packed:
        guarded: Any = _Guarded(packed, where)  # Any: it has only what reading takes of a file
        with tarfile.open(fileobj=guarded, mode="r:", encoding="utf-8", errors="surrogateescape") as file:
            while (member := file.next()) is not None:
                file.members.clear()  # type: ignore[attr-defined]  # else it keeps all that it has seen
                if member.isdir():
                    budget.spend(0)
                elif member.isreg() and not member.issparse():
                    yield member.name, member.size, partial(file.extractfile, member)
                else:
                    raise _special(where, member.name)
            if guarded.last != bytes(TAR_BLOCK):
                raise InputError(f"{where}: damaged: it breaks off before its end. Fetch or pack it again.")
        guarded.read_rest()


class _Guarded:
    """The bytes of a TAR: never many at once, and read to their end, where a packed file keeps its check sum."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._file, self._where = file, where
        self.last = b""  # what was read last: the end's block of zeros, where the file is whole

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LARGEST_HEADER:
            raise InputError(f"{self._where}: damaged: expected headers of at most {LARGEST_HEADER} bytes, got {size}.")
        self.last = self._file.read(size)
        return self.last

    def seek(self, position: int) -> int:
        return self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()

    def read_rest(self) -> None:
        if any(self._file.read(LARGEST_HEADER)) or self._file.read(1):
            raise InputError(f"{self._where}: expected nothing after the archive's end, got more. Pack it again.")


def _write(content: IO[bytes], size: int, path: Path, where: str) -> None:
    """The member's bytes, as many as it says it has; no existing file is ever written to."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        target = path.open("xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as taken:
        raise _twice(where, path.name) from taken
    with target:
        left = size
        while left:
            chunk = content.read(min(CHUNK, left))
            if not chunk:
                break
            target.write(chunk)
            left -= len(chunk)
    if left or content.read(1):  # the read past the end also has a ZIP compare its check sum
        raise InputError(f"{where}: damaged: {path.name} has another size than the archive says. Pack it again.")


def _special(where: str, name: str) -> InputError:
    return InputError(f"{where}: expected files and folders, got a link or device {name[:200]!r}. Pack without links.")


def _twice(where: str, name: str) -> InputError:
    return InputError(f"{where}: expected each name once, got {name!r} twice. Rename one of them and pack again.")
