"""What a registered version is compared by: its test images with their truth, and what it found on them.

Kept with the run under evidence/<weights>, so that two versions can be compared when the data set has long changed.
Images are known by their content and their objects, whatever they are called, so equal digests mean the same test.
"""

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.config.digests import file_sha256, text_sha256
from pipeline.data.coco.coco import read_coco, write_coco
from pipeline.registry.relocation import artifact_of_run
from pipeline.registry.resolve import PREFIX, WEIGHTS_TAG
from yolox_core.atomic_files import write_json
from yolox_core.data.records import DatasetRecords, described
from yolox_core.errors import InputError, sentence
from yolox_core.evaluation.coco import measure

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

RUN_TAG = "mlflow.run_id"  # of a version: the run that holds its newest figures
DIGEST_TAG, FILES_TAG, MAP_TAG = "test.digest", "evidence.sha256", "test/map"
ANNOTATIONS, CONTENT, DETECTIONS = "test.json", "content.json", "detections.json"
SAME_MAP = 1e-6  # tags carry six digits


@dataclass(frozen=True)
class HeldOut:
    """Test images that no training has seen."""

    records: DatasetRecords
    content: Mapping[str, str]  # sha256 of each image file by its name

    @cached_property
    def keys(self) -> list[str]:
        """One for each image: equal keys mean equal pixels and equal truth."""
        names = self.records.class_names
        texts = [f"{self.content[record.file_name]}\t{described(record, names)}" for record in self.records.images]
        return [text_sha256(text) for text in texts]

    @property
    def digest(self) -> str:
        """One name for all of them, whatever their order and their file names."""
        return text_sha256("\n".join(sorted(self.keys)))


@dataclass(frozen=True)
class Evidence:
    """A version's detections (DESIGN's JSON) on its test images."""

    held_out: HeldOut
    detections: list[dict[str, Any]]


def keep(client: "MlflowClient", run_id: str, evidence: Evidence, weights_sha256: str) -> dict[str, str]:
    """Store it with the run; returns the version's tags by which it is found unchanged."""
    with tempfile.TemporaryDirectory(prefix="yolox-evidence-") as folder:
        write_coco(evidence.held_out.records, Path(folder) / ANNOTATIONS)
        write_json(Path(folder) / CONTENT, dict(evidence.held_out.content))
        write_json(Path(folder) / DETECTIONS, evidence.detections)
        client.log_artifacts(run_id, folder, _place(weights_sha256))
        return {DIGEST_TAG: evidence.held_out.digest, FILES_TAG: _digest_of(Path(folder))}


def read(version: "ModelVersion", uri: str) -> Evidence:
    """The version's evidence; InputError where it is not there, was changed, or does not give the registered map."""
    from mlflow.exceptions import MlflowException

    where, tags = f"{PREFIX}{version.name}/{version.version}", version.tags
    if FILES_TAG not in tags:
        raise InputError(
            f"{where}: expected the tag {FILES_TAG}, got none: it was registered without its test images. "
            "Register it again: `dvc repro --force register` in the project that made it."
        )
    run_id, place = run_of(version), _place(tags.get(WEIGHTS_TAG, ""))
    with tempfile.TemporaryDirectory(prefix="yolox-evidence-") as folder:
        try:
            found = artifact_of_run(run_id, place, uri, Path(folder))
        except (MlflowException, OSError) as error:
            said = sentence(error)
            raise InputError(f"{where}: {place} of run {run_id} cannot be read: {said} Restore it.") from error
        if _digest_of(found) != tags[FILES_TAG]:
            raise InputError(
                f"{where}: {place} of run {run_id} is not what was registered. Its files were changed or lost; "
                "restore them, or register the model again."
            )
        evidence = _read_files(found)
    measured = measure(evidence.held_out.records, evidence.detections, "faster-coco-eval").metrics["map"]
    if evidence.held_out.digest != tags.get(DIGEST_TAG) or not abs(measured - _number(tags.get(MAP_TAG))) <= SAME_MAP:
        raise InputError(
            f"{where}: expected test images {tags.get(DIGEST_TAG)} and {MAP_TAG} {tags.get(MAP_TAG)}, got "
            f"{evidence.held_out.digest} and {measured:.6g} from its detections. Register the model again."
        )
    return evidence


def run_of(version: "ModelVersion") -> str:
    """The run that holds the version's newest figures."""
    return str(version.tags.get(RUN_TAG) or version.run_id)


def onto(other: Evidence, held_out: HeldOut) -> list[dict[str, Any]] | None:
    """The other's detections as they are on `held_out`; None where it was not measured on all of these images.

    Classes go by their names: an id may mean another class elsewhere.
    """
    waiting: dict[str, list[int]] = defaultdict(list)
    for record, key in zip(other.held_out.records.images, other.held_out.keys, strict=True):
        waiting[key].append(record.image_id)
    image_ids: dict[int, int] = {}
    for record, key in zip(held_out.records.images, held_out.keys, strict=True):
        if not waiting[key]:
            return None
        image_ids[waiting[key].pop()] = record.image_id
    category_ids = dict(zip(held_out.records.class_names, held_out.records.category_ids, strict=True))
    return [
        {**entry, "image_id": image_ids[entry["image_id"]], "category_id": category_ids[entry["category_name"]]}
        for entry in other.detections
        if entry["image_id"] in image_ids and entry["category_name"] in category_ids
    ]


def _place(weights_sha256: str) -> str:
    # a run that was trained afresh may hold two models: each has evidence of its own
    return f"evidence/{weights_sha256[:12]}"


def _digest_of(folder: Path) -> str:
    files = [folder / name for name in (ANNOTATIONS, CONTENT, DETECTIONS)]
    lines = [f"{file.name}\t{file_sha256(file) if file.is_file() else None}" for file in files]
    return text_sha256("\n".join(lines))


def _read_files(folder: Path) -> Evidence:
    records = read_coco(folder / ANNOTATIONS, Path())
    content = json.loads((folder / CONTENT).read_text(encoding="utf-8"))
    detections = json.loads((folder / DETECTIONS).read_text(encoding="utf-8"))
    return Evidence(HeldOut(records, content), detections)


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
