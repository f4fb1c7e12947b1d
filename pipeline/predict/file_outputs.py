"""Detections as one file, written while they come: JSON, CSV, or a COCO data set.

Each is whole or absent: it is built beside its place and renamed when the run ends, also when Ctrl-C ends it.
"""

import csv
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from pipeline.predict.stream import Seen
from yolox_core.atomic_files import new_text
from yolox_core.config import DetectorSpec

Output = Callable[[Seen], None]  # takes what was seen, image after image
COLUMNS = (
    *("file_name", "image_id", "frame", "time_s", "category_id", "category_name"),
    *("x", "y", "width", "height", "score"),
)


def entries(seen: Seen) -> list[dict[str, Any]]:
    """COCO results plus names; of a clip, the frame and its time as well."""
    return [{**row, **seen.look.place} for row in seen.found.to_json(seen.look.name, seen.look.image_id)]


@contextmanager
def json_file(path: Path, spec: DetectorSpec) -> Iterator[Output]:
    """A list of detections, as `write_json` would write it."""
    with new_text(path) as file, _list(file) as add:
        yield lambda seen: add(entries(seen))


@contextmanager
def csv_file(path: Path, spec: DetectorSpec) -> Iterator[Output]:
    """A row a detection; frame and time are empty for images."""
    with new_text(path) as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n", extrasaction="ignore")
        table.writeheader()

        def add(seen: Seen) -> None:
            for entry in entries(seen):
                table.writerow({**entry, **dict(zip(("x", "y", "width", "height"), entry["bbox"], strict=True))})

        yield add


@contextmanager
def coco_file(path: Path, spec: DetectorSpec) -> Iterator[Output]:
    """A COCO data set: every image that could be read, what was found as its annotations, with scores."""
    categories = [
        {"id": category_id, "name": name} for category_id, name in zip(spec.category_ids, spec.class_names, strict=True)
    ]
    # images and annotations come together but are written apart
    with new_text(path) as file, tempfile.TemporaryFile("w+", encoding="utf-8") as aside:
        file.write('{\n"categories": ' + json.dumps(categories, ensure_ascii=False) + ',\n"images": ')
        with _list(file) as add_images, _list(aside) as add_annotations:
            count = 0

            def add(seen: Seen) -> None:
                nonlocal count
                add_images([_image(seen)])
                add_annotations([_annotation(entry, count + at) for at, entry in enumerate(entries(seen), 1)])
                count += len(seen.found)

            yield add
        file.write(',\n"annotations": ')
        aside.seek(0)
        shutil.copyfileobj(aside, file)
        file.write("}\n")


def _image(seen: Seen) -> dict[str, Any]:
    height, width = seen.image.shape[:2]
    look = seen.look
    clip = {"video": look.name, **look.place} if look.place else {}
    return {"id": look.image_id, "file_name": look.picture, "width": width, "height": height, **clip}


def _annotation(entry: dict[str, Any], number: int) -> dict[str, Any]:
    _, _, width, height = entry["bbox"]
    kept = {key: entry[key] for key in ("image_id", "category_id", "bbox", "score")}
    return {"id": number, **kept, "area": width * height, "iscrowd": 0}


@contextmanager
def _list(file: TextIO) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """A JSON list that grows: the same bytes as json.dumps with an indent of 1."""
    between = "[\n"

    def add(rows: list[dict[str, Any]]) -> None:
        nonlocal between
        for row in rows:
            text = json.dumps(row, indent=1, ensure_ascii=False, allow_nan=False)
            file.write(between + " " + text.replace("\n", "\n "))
            between = ",\n"

    yield add
    file.write("[]\n" if between == "[\n" else "\n]\n")
