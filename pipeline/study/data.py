"""The images of a study: a folder that is named where it is run, or rendered scenes; and a digest that tells them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline.config.digests import text_sha256
from pipeline.config.settings import SyntheticSettings
from pipeline.data.formats.read import read_dataset
from pipeline.data.synthetic.scenes import GENERATOR_VERSION, render
from pipeline.study.design import Study
from pipeline.training.identity import records_digest
from yolox_core.data.image_io import content_digests
from yolox_core.data.records import DatasetRecords, ImageRecord
from yolox_core.errors import InputError, nearest

RENDERED = Path("data/study")
DIGEST_LENGTH = 16


def named_folders(study: Study, pairs: Sequence[str]) -> dict[str, Path]:
    """`name=FOLDER`, as given on a command line. InputError on a name that the study does not have."""
    folders = {}
    for pair in pairs:
        name, _, folder = pair.partition("=")
        if name not in study.data or not folder:
            raise InputError(
                f"--data: expected NAME=FOLDER with one of {', '.join(study.data)}, got {pair!r}. "
                f"{nearest(name, study.data)}"
            )
        folders[name] = Path(folder).expanduser()
    return folders


def folders_of(study: Study, names: Iterable[str], given: Mapping[str, Path]) -> dict[str, Path]:
    """Where the images of each data set of `names` lie; scenes are rendered where they are not there yet."""
    folders = dict(given)
    for name in names:
        scenes = study.data[name].synthetic
        if name in folders:
            if not folders[name].is_dir():
                raise InputError(f"--data: {name}: expected a folder, got {folders[name]}. Check the path.")
        elif scenes is not None:
            folders[name] = rendered(scenes)
        else:
            raise InputError(f"--data: expected {name}=FOLDER, the study needs it.")
    return folders


def rendered(scenes: SyntheticSettings) -> Path:
    """The folder of these scenes; its annotations are written last, so it is whole where they are there."""
    folder = RENDERED / f"scenes-v{GENERATOR_VERSION}-{scenes.images}-{scenes.seed}"
    if not (folder / "annotations.json").is_file():
        render(folder, scenes.images, scenes.seed)
    return folder


def data_digests(folder: Path) -> tuple[str, str]:
    """Names for the images and their objects: today's, and the one that rows of before carry.

    A study deals images to folds by their names: so today's is of the records in the order in which they are dealt.
    """
    records = read_dataset(folder)[0]
    content = dict(zip((image.file_name for image in records.images), content_digests(records), strict=True))
    dealt = replace(records, images=sorted(records.images, key=fold_order))
    return records_digest(dealt, content)[:DIGEST_LENGTH], _digest_of_before(records, content)


def _digest_of_before(records: DatasetRecords, content: Mapping[str, str]) -> str:
    lines = sorted(
        f"{image.file_name}\t{content[image.file_name]}\t{objects.boxes_G4.tolist()}\t{objects.labels_G.tolist()}"
        for image in records.images
        for objects in [image.objects]
    )
    named = "\n".join([*records.class_names, *lines])
    return text_sha256(named)[:DIGEST_LENGTH]


def fold_order(image: ImageRecord) -> bytes:
    """Images are dealt to folds in this order: of a hash of their names."""
    return hashlib.sha256(image.file_name.encode()).digest()
