"""What a training run is: everything that can change its bits, and nothing else.

That is the engine's code with all that it imports, the recipe, the classes, the initial weights, and the records that
the engine is given: not the code that read them, nor where anything lies. Runs, the trials of sweeps and the rows of
studies are told apart by it.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pipeline.config.code_digest import code_digest
from pipeline.config.digests import value_sha256
from yolox_core.data.records import DatasetRecords

ENGINE = ("yolox_core.training.engine",)
HASH_LENGTH = 10


def engine_digest() -> str:
    """sha256 of the code that trains."""
    return code_digest(ENGINE)


def records_digest(records: DatasetRecords, content: Mapping[str, str]) -> str:
    """sha256 of images and objects in their order; `content` is the sha256 of each image by its name.

    Names count no more than paths do: the engine draws by position. Of image ids the order counts, by which an
    evaluation ranks equal scores.
    """
    digest = hashlib.sha256(json.dumps([records.class_names, records.category_ids]).encode())
    place = {number: at for at, number in enumerate(sorted({image.image_id for image in records.images}))}
    for image in records.images:
        known = (
            f"\n{place[image.image_id]} {content[image.file_name]} {image.height} {image.width} {len(image.objects)}\n"
        )
        digest.update(known.encode())
        digest.update(image.objects.boxes_G4.astype("<f4").tobytes())
        digest.update(image.objects.labels_G.astype("<i8").tobytes())
        digest.update(image.objects.ignore_G.astype("?").tobytes())
    return digest.hexdigest()


def reading(value_range: tuple[float, float] | None) -> dict[str, Any]:
    """What a range of samples adds to a run's identity: nothing where there is none, so that runs of before hold."""
    return {} if value_range is None else {"value_range": list(value_range)}


def identity(recipe: Mapping[str, Any], records: Mapping[str, str], weights: str | None, **more: Any) -> str:
    """A short name of the run that these make; `records` are digests by split, `more` whatever else tells it apart."""
    parts = {"recipe": recipe, "records": records, "weights": weights, "code": engine_digest(), **more}
    return value_sha256(parts)[:HASH_LENGTH]
