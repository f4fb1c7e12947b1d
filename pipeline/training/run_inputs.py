"""What the workers of a run read, carried by the store: annotations, digests of images, and starting weights.

Each file lies there by its sha256, so that only what is new is sent. A node fetches them into a folder of its own for
the run, in which the engine writes its checkpoints, too; no path of the driver's machine means anything there.
"""

import dataclasses
import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pipeline.cluster.store import FILES, RUNS, Store
from pipeline.config.digests import file_sha256, text_sha256
from pipeline.training.loop_config import TrainLoopConfig
from yolox_core.errors import InputError

INITIAL = "initial"  # the starting weights among a run's files
KEPT_S = 7 * 24 * 3600.0  # how long a node keeps the folder of a run that it does not work for any more


def send_file(store: Store, path: Path) -> str:
    """The sha256 of a file, which lies in the store from then on."""
    digest = file_sha256(path)
    if not store.exists(f"{FILES}/{digest}"):
        store.send(path, f"{FILES}/{digest}")
    return digest


def send_text(store: Store, text: str) -> str:
    """The sha256 of a text, which lies in the store from then on."""
    digest = text_sha256(text)
    if not store.exists(f"{FILES}/{digest}"):
        store.write(f"{FILES}/{digest}", text.encode())
    return digest


def fetch_files(store: Store, files: Mapping[str, str], folder: Path) -> None:
    """Bring files, sha256 by name, into a folder; those that are there stay. InputError where one cannot be had."""
    for name, digest in files.items():
        path = folder / name
        if path.is_file() and file_sha256(path) == digest:
            continue
        try:
            store.fetch(f"{FILES}/{digest}", path)
        except Exception as failed:  # each kind of store has errors of its own
            raise store.unusable("read", failed) from failed
        if (found := file_sha256(path)) != digest:
            path.unlink()
            raise InputError(
                f"{store.address}/{FILES}/{digest}: expected a file of this sha256, got {found[:12]}. Remove it there, "
                "and submit again."
            )


def in_store(
    config: TrainLoopConfig, store: Store, objects: Mapping[str, str], options: Mapping[str, str]
) -> TrainLoopConfig:
    """The same run with all that its workers read in the store; `objects` are the images' md5 where DVC holds them.

    InputError where the store fails.
    """
    known = json.loads(Path(config.digests).read_text(encoding="utf-8"))["files"]
    listing = json.dumps({"files": known, "objects": dict(objects), "options": dict(options)}, sort_keys=True)
    try:
        files = {
            "training.json": send_file(store, Path(config.training)),
            "validation.json": send_file(store, Path(config.validation)),
            "images.json": send_text(store, listing),
        }
        initial = _initial_files(config.initial)
        files |= {name: send_file(store, path) for name, path in initial.items()}
    except InputError:
        raise
    except Exception as failed:  # each kind of store has errors of its own
        raise store.unusable("written", failed) from failed
    return dataclasses.replace(
        config,
        training="training.json",
        validation="validation.json",
        digests="images.json",
        initial=_initial_name(config.initial),
        store=store.address,
        files=files,
    )


def with_annotations(config: TrainLoopConfig, store: Store, training: Path, validation: Path) -> TrainLoopConfig:
    """A run of the store with other annotations. InputError where the store fails."""
    try:
        files = {config.training: send_file(store, training), config.validation: send_file(store, validation)}
    except Exception as failed:  # each kind of store has errors of its own
        raise store.unusable("written", failed) from failed
    return dataclasses.replace(config, files={**config.files, **files})


def on_this_node(config: TrainLoopConfig) -> TrainLoopConfig:
    """The same run by paths of this node, its files fetched. InputError where they cannot be."""
    if not config.store:
        return config
    runs = Path(config.cache).expanduser() / RUNS
    _forget_old(runs)
    folder = runs / config.called
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)
    inputs = folder / "inputs"
    fetch_files(Store(config.store), config.files, inputs)
    return dataclasses.replace(
        config,
        training=str(inputs / config.training),
        validation=str(inputs / config.validation),
        digests=str(inputs / config.digests),
        initial=str(inputs / config.initial) if config.initial else None,
        run=str(folder),
        name=config.called,
        store="",
        files={},
    )


def _initial_files(initial: str | None) -> dict[str, Path]:
    """The files of the starting weights by their names among a run's."""
    if initial is None:
        return {}
    path = Path(initial)
    if path.is_dir():
        return {f"{INITIAL}/{file.name}": file for file in sorted(path.iterdir()) if file.is_file()}
    return {_initial_name(initial): path}


def _initial_name(initial: str | None) -> str:
    if initial is None:
        return ""
    path = Path(initial)
    return INITIAL if path.is_dir() else f"{INITIAL}{path.suffix}"


def _forget_old(runs: Path) -> None:
    """Make room where runs have left their folders long ago."""
    for folder in runs.glob("*"):
        with suppress(FileNotFoundError):  # another worker makes room as well
            used_s = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
            if time.time() - used_s > KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)
