"""The held-out test split as prepare has written it, for the stages that measure on it: evaluate and export."""

from pipeline.config import paths
from pipeline.data.coco.coco import read_coco
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError


def test_split() -> DatasetRecords:
    """The held-out images; InputError where there are none to measure on."""
    path = paths.prepared("test")
    if not path.is_file():
        raise InputError(f"{path}: no such file. Run `dvc repro`, or `yolox prepare` first.")
    truth = read_coco(path, paths.RAW_IMAGES)
    if all(image.objects.ignore_G.all() for image in truth.images):
        raise InputError(f"{path}: expected test images with objects, found none. Raise data.split.test.")
    return truth
