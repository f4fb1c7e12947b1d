"""What `data.source` may say: folders, archives and addresses, each with what is known of it. Nothing is opened here.

Names that come from outside may hold secrets (a signed address), so messages, reports and folders use `shown` and
`short_name`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from yolox_core.errors import InputError, on_one_line

LONGEST_NAME = 100  # characters of a source's name, which are ASCII: a number may come behind it
SYNTHETIC = "synthetic"  # as the whole of data.source: the embedded data set
ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2")
WEB = ("http://", "https://")
LOCAL = "file://"


@dataclass(frozen=True)
class SourceSettings:
    """One place of annotated images."""

    path: str = ""  # a folder, an archive, or an address of either
    format: str | None = None  # as data.format; null: that one
    sha256: str | None = None  # of the archive; needed where it comes by http(s)
    encoding: str | None = None  # of its texts that are not UTF-8 and do not say what they are: cp1252, gbk
    classes: Mapping[str, str | None] = field(default_factory=dict)  # their name -> ours; null: boxes dropped

    def __post_init__(self) -> None:
        if not self.path.strip():
            raise InputError("data.source: expected a path for each source, got none. Write path: FOLDER.")
        if self.sha256 is not None:
            _require_digest(self.shown, self.sha256)
            if not self.is_archive:
                raise InputError(f"data.source: {self.shown}: sha256: expected an archive to compare, got a folder.")
            object.__setattr__(self, "sha256", self.sha256.lower())  # frozen: only here
        elif self.is_web:
            raise InputError(
                f"data.source: {self.shown}: expected the archive's sha256 beside its address, got none: what lies "
                "there may change. Write {path: ADDRESS, sha256: DIGEST}; `curl -L ADDRESS | sha256sum` prints it."
            )
        for theirs, ours in self.classes.items():
            if not isinstance(theirs, str) or not isinstance(ours, str | None) or ours == "":
                raise InputError(
                    f"data.source: {self.shown}: classes: expected names, or null as ours, got {theirs!r}: {ours!r}. "
                    "Put a name that YAML reads as something else in quotes."
                )

    @property
    def is_web(self) -> bool:
        """Whether it is an archive that a web server gives."""
        return self.path.startswith(WEB)

    @property
    def is_remote(self) -> bool:
        """Whether it lies at an address, and not among this machine's files."""
        return "://" in self.path and not self.path.startswith(LOCAL)

    @property
    def local_path(self) -> str:
        """Where it lies among this machine's files, if it is not remote."""
        return self.path.removeprefix(LOCAL)

    @property
    def is_archive(self) -> bool:
        """Whether it is one file of many, by its name; an address of a web server always is."""
        return self.is_web or self.path.lower().endswith(ARCHIVES)

    @property
    def shown(self) -> str:
        """The path for messages, on one line: an address without what may be a secret, its user and its query."""
        return on_one_line(shown_address(self.path) if self.is_remote else self.path)

    @property
    def last_name(self) -> str:
        """The last part of the path in small letters, without an archive's ending."""
        if not self.is_remote:
            name = Path(self.local_path).expanduser().resolve().name
        elif self.is_web:
            name = PurePosixPath(urlsplit(self.path).path).name or urlsplit(self.path).netloc
        else:
            name = re.split(r"[/:]", self.path.rstrip("/"))[-1]
        return _without_ending(name.lower())

    @property
    def short_name(self) -> str:
        """That, in plain characters; may be empty."""
        return plain_name(self.last_name)


def shown_address(address: str) -> str:
    """An address for messages: without its user, and without a web server's query."""
    path = address.partition("?")[0] if address.startswith(WEB) else address
    without_token = re.sub(r"(https?://)[^/@]*@", r"\1", path)
    return re.sub(r"^(\w+://)[^/@]*:[^/@]*@", r"\1", without_token)


def plain_name(name: str) -> str:
    """A name with nothing but small letters, digits and `._-`; may be empty."""
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-")


def unique_names(sources: Sequence[SourceSettings]) -> tuple[str, ...]:
    """A short name for each source, by which its images' folder and its findings are called."""
    names: list[str] = []
    for source in sources:
        base = source.short_name.lstrip(".")[:LONGEST_NAME] or "data"  # a leading dot would hide the folder
        name, number = base, 1
        while name in names:
            number += 1
            name = f"{base}-{number}"
        names.append(name)
    return tuple(names)


def sources_of(given: Any) -> tuple[SourceSettings, ...]:
    """`data.source`, in any of its forms, as a list; empty for the embedded data set."""
    if given == SYNTHETIC:
        return ()
    listed = given if isinstance(given, tuple) else (given,)
    sources = tuple(SourceSettings(entry) if isinstance(entry, str) else entry for entry in listed)
    if not sources:
        raise InputError(f"data.source: expected a source, got an empty list. Write a folder, or {SYNTHETIC}.")
    paths = [source.path for source in sources]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice is not None:
        raise InputError(f"data.source: expected each source once, got {twice!r} twice. Remove one of them.")
    if SYNTHETIC in paths:
        raise InputError(
            f"data.source: expected {SYNTHETIC} alone, got it in a list or mapping. Write ./{SYNTHETIC} for a folder "
            "of that name."
        )
    return sources


def _require_digest(path: str, digest: str) -> None:
    if not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise InputError(f"data.source: {path}: sha256: expected 64 hexadecimal digits, got {digest[:80]!r}.")


def _without_ending(name: str) -> str:
    ending = max((ending for ending in ARCHIVES if name.lower().endswith(ending)), key=len, default="")
    return name[: len(name) - len(ending)]
