"""Which anchor points SimOTA gives to which object of an annotated image: a picture, and counts by stride.

The objects are those of a data set, the raw predictions a model's; both go through the assignment that training uses.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pipeline.config import paths
from pipeline.data.coco.coco import read_coco
from pipeline.data.formats.read import read_dataset
from pipeline.registry.model_reference import locate
from yolox_core.config import AssignConfig
from yolox_core.data.collate import collate
from yolox_core.data.dataset import EvaluationSet
from yolox_core.data.records import DatasetRecords, ImageRecord
from yolox_core.errors import InputError
from yolox_core.inference.visualize import draw_assignment, points_by_level
from yolox_core.loss.simota import SimOTA
from yolox_core.model.weights import read_weights
from yolox_core.ops.anchors import anchor_points, decode_boxes
from yolox_core.structures import ImageArray


@dataclass(frozen=True)
class DrawnAssignment:
    """An image with its assignment drawn, and what the picture shows of each object."""

    picture: ImageArray
    captions: list[str]
    boxes: list[list[float]]  # corners in pixels of the network's input
    counts: list[dict[int, int]]  # stride -> points


def draw(image: Path, model: str, data: Path | None, config: AssignConfig) -> DrawnAssignment:
    """The assignment for `image`, whose objects are looked up in `data` (or in the prepared data set)."""
    records = _records(data)
    record = _find(records, image)
    weights = read_weights(locate(model))
    network = weights.build().eval()
    known = len(weights.spec.class_names)
    if len(record.objects) and int(record.objects.labels_G.max()) >= known:
        raise InputError(f"{model}: expected a model of at least {len(records.class_names)} classes, got {known}.")
    one = replace(records, images=[record], value_range=weights.spec.value_range)
    sample = EvaluationSet(one, weights.spec.input_size)
    drawn = sample.load(0)
    batch = collate([drawn])
    points = anchor_points(weights.spec.input_size)
    with torch.no_grad():
        raw_BA = network(batch.images_BCHW.float())
        assignment = SimOTA(config)(decode_boxes(raw_BA, points), raw_BA, batch.targets, points)
    names = [records.class_names[int(label)] for label in drawn.objects.labels_G]
    captions = [f"{index + 1} {name}" for index, name in enumerate(names)]
    picture = draw_assignment(drawn.image, drawn.objects.boxes_G4, captions, assignment, points)
    counts = points_by_level(assignment, points, len(names))
    return DrawnAssignment(picture, captions, drawn.objects.boxes_G4.tolist(), counts)


def _records(data: Path | None) -> DatasetRecords:
    if data is not None:
        return read_dataset(data)[0]
    if not paths.VALID_ANNOTATIONS.is_file():
        raise InputError(f"{paths.VALID_ANNOTATIONS}: no such file. Run `dvc repro`, or name the data set with --data.")
    return read_coco(paths.VALID_ANNOTATIONS, paths.RAW_IMAGES)


def _find(records: DatasetRecords, image: Path) -> ImageRecord:
    exact = [record for record in records.images if records.path(record).resolve() == image.resolve()]
    named = [record for record in records.images if Path(record.file_name).name == image.name]
    found = exact or named
    if len(found) != 1:
        raise InputError(
            f"{image}: expected one image of that name in {records.image_root}, found {len(found)}. "
            "Name the data set that annotates it with --data."
        )
    return found[0]
