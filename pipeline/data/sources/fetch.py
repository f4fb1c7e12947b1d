"""From what `data.source` says to a folder that can be read, and to a digest that tells when it has changed.

Folders are read where they lie. Everything else is brought into the cache first (`cache.py`), only what is new.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.config.digests import file_sha256, text_sha256
from pipeline.config.settings import DataSettings
from pipeline.config.source_spec import SourceSettings, unique_names
from pipeline.config.user_paths import source_folder, user_path
from pipeline.console.progress_bar import Transfer
from pipeline.data.formats.annotation_formats import check_format
from pipeline.data.formats.read import read_dataset
from pipeline.data.parsing.encodings import check_encoding
from pipeline.data.parsing.findings import Finding
from pipeline.data.parsing.folder_listing import Listing
from pipeline.data.prepare.merge import Part, with_classes
from pipeline.data.sources.archive import unpack
from pipeline.data.sources.cache import Place, State
from pipeline.data.sources.http import WebFile, another, download
from pipeline.data.sources.limits import Budget
from pipeline.data.sources.remote import WATCHED, Remote, RemoteFile, copy_folder
from pipeline.data.synthetic.scenes import GENERATOR_VERSION
from yolox_core.atomic_files import new_folder
from yolox_core.errors import InputError


@dataclass(frozen=True)
class Digest:
    """What a source looks like; another one where it has changed."""

    text: str
    files: int  # that were looked at


def digest_of(source: SourceSettings) -> Digest:
    """Look at a source without fetching it. InputError where there is none."""
    if source.is_web:
        return Digest(text_sha256(f"web\t{source.sha256}"), 1)
    if source.is_remote:
        remote = Remote.of(source)
        if source.is_archive:
            return Digest(text_sha256(remote.archive().state), 1)
        files = remote.folder()
        return Digest(text_sha256(_listed(files)), len(files))
    path = source_folder(source.local_path)
    if source.is_archive and not path.is_dir():
        return Digest(text_sha256(_local_state(path)), 1)
    return _folder_digest(path)


def check_apart(sources: Sequence[SourceSettings]) -> None:
    """InputError where a source of this machine lies among what the pipeline writes."""
    for source in sources:
        if not source.is_remote:
            source_folder(source.local_path)


def check_formats(data: DataSettings) -> None:
    """InputError where params.yaml names a format of annotations, or an encoding of texts, that there is not."""
    check_format(data.format, "data.format")
    for place, source in enumerate(data.sources):
        listed = f"[{place}]" if isinstance(data.source, tuple) else ""
        check_encoding(source.encoding, f"data.source{listed}.encoding")
        if source.format is not None:
            check_format(source.format, f"data.source{listed}.format")


def read_sources(sources: Sequence[SourceSettings], format: str) -> list[tuple[Part, list[Finding]]]:
    """Every source's images and what could not be read, classes under our names; a single source has no name."""
    names = unique_names(sources) if len(sources) > 1 else ("",)
    read = []
    for source, name in zip(sources, names, strict=True):
        records, findings = read_dataset(bring(source), source.format or format, source.encoding, source.shown)
        meant = frozenset(theirs for theirs, ours in source.classes.items() if theirs == ours)
        part = Part(name, with_classes(records, source.classes, source.shown), meant)
        read.append((part, [part.named(finding) for finding in findings]))
    return read


def bring(source: SourceSettings) -> Path:
    """The folder to read, after what is new was fetched and unpacked."""
    if not source.is_remote:
        path = user_path(source.local_path)
        if path.is_dir() or not source.is_archive:
            return path
    place = Place.of(source)
    with place.locked():
        if source.is_web:
            _bring_web(source, place)
        elif source.is_archive:
            _bring_archive(source, place)
        else:
            _bring_folder(source, place)
    return place.files


def _bring_folder(source: SourceSettings, place: Place) -> None:
    remote = Remote.of(source)
    files = remote.folder()
    state: State = {"listing": text_sha256(_listed(files))}
    if place.state != state:
        place.distrust()
        copy_folder(remote, files, place.files)
        place.trust(state)


def _bring_web(source: SourceSettings, place: Place) -> None:
    """Fetch and unpack an archive unless that was done; the cache keeps its files, never the archive."""
    if place.state.get("sha256") != source.sha256:
        part = place.root / f"{source.sha256}.part"  # of this archive and no other; gone on with after a cut
        download(_web_file(source), part)
        try:
            _unpack(source, part, place, {"sha256": source.sha256})
        except InputError:
            part.unlink()  # another try would not change it
            raise
    _remove_parts(place)


def _web_file(source: SourceSettings) -> WebFile:
    return WebFile(
        source.path,
        source.shown,
        (source.sha256 or "",),
        kind="an archive",
        if_other="If the new one is meant, write its sha256 into data.source.",
    )


def _bring_archive(source: SourceSettings, place: Place) -> None:
    """The same, from this machine or an address, where a change shows by size and version."""
    held = place.state
    remote = Remote.of(source) if source.is_remote else None
    file = remote.archive() if remote else None
    path = user_path(source.local_path) if remote is None else place.root / "archive.part"
    seen = file.state if file else _local_state(path)
    if held.get("seen") == seen and source.sha256 in (None, held.get("sha256")):
        return
    try:
        if remote and file:
            Budget(place.root, source.shown).spend(file.size or 0)
            with Transfer(source.shown, 0, file.size) as transfer:
                remote.fetch(file, path, transfer)
        sha256 = file_sha256(path)
        if source.sha256 not in (None, sha256):
            raise another(_web_file(source), sha256)
        state = {"sha256": sha256, "seen": seen}
        if held.get("sha256") == sha256:
            place.trust(state)  # touched or moved, the same bytes
        else:
            _unpack(source, path, place, state)
    finally:
        _remove_parts(place)


def _unpack(source: SourceSettings, archive: Path, place: Place, state: State) -> None:
    with new_folder(place.files) as folder:
        files = unpack(archive, folder, source.shown)
        place.distrust()  # from here on until the new files have their name
    place.trust(state)
    print(f"unpacked {files} files of {source.shown}", file=sys.stderr)


def _remove_parts(place: Place) -> None:
    for part in place.root.glob("*.part"):
        part.unlink()


def _folder_digest(folder: Path) -> Digest:
    listing = Listing.of(folder)
    lines = []
    for name in listing.files:
        if PurePosixPath(name).suffix.lower() in WATCHED:
            try:
                state = (listing.root / name).stat()
            except OSError:  # a link to nowhere; the readers say so if an annotation needs it
                lines.append(f"{name}\tabsent")
                continue
            lines.append(f"{name}\t{state.st_size}\t{state.st_mtime_ns}")
    return Digest(text_sha256("\n".join(lines)), len(lines))


def _listed(files: Mapping[str, RemoteFile]) -> str:
    return "\n".join(f"{name}\t{file.state}" for name, file in files.items())


def _local_state(path: Path) -> str:
    """Size and time of an archive here; InputError where there is none."""
    if not path.is_file():
        raise InputError(f"{path}: expected an archive of annotated images, got no such file. Check the path.")
    state = os.stat(path)
    return f"{state.st_size}\t{state.st_mtime_ns}"


def source_digest(data: DataSettings) -> tuple[str, int]:
    """(digest, number of files) of the sources; InputError where one of them is not there."""
    if not data.sources:
        drawn: dict[str, Any] = {"generator": GENERATOR_VERSION, "images": data.synthetic.images}
        return text_sha256(json.dumps({**drawn, "seed": data.synthetic.seed})), data.synthetic.images
    digests = [digest_of(source) for source in data.sources]
    files = sum(digest.files for digest in digests)
    return digests[0].text if len(digests) == 1 else text_sha256("\n".join(digest.text for digest in digests)), files
