"""A data set of COCO's size: reading and checking its annotations, a first validation, and one after one change."""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.timing import hardware
from pipeline.config import paths
from pipeline.data.checks.doctor import check
from pipeline.data.coco.coco import write_coco
from pipeline.data.formats.read import read_dataset
from yolox_core.atomic_files import write_json, write_text
from yolox_core.data.image_io import READERS
from yolox_core.errors import InputError

ROOT = Path(__file__).parents[1]
IMAGES, BOXES, CLASSES = 120_000, 900_000, 80
POINTS = 22  # of a polygon: COCO's training file has 448 MB, this one 417
SIZE = (480, 640)
ANNOTATIONS = "annotations/instances_train2017.json"
# processes of their own, so that the memory is their own
PEAK = r"""
import re
from pathlib import Path
def peak_mib():
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
"""
READ = """
import json, sys, time
from pipeline.data.checks.doctor import check_boxes
from pipeline.data.formats.read import read_dataset
from pipeline.data.checks.dataset_checks import check_classes, check_sizes
began = time.monotonic()
records, findings = read_dataset(Path(sys.argv[1]))
read = time.monotonic()
findings += [finding for _, wrong in check_boxes(records.images) for finding in wrong]
findings += check_classes(records) + check_sizes(records, 640)
ended = time.monotonic()
boxes = sum(len(record.objects) for record in records.images)
print(json.dumps({"images": len(records.images), "boxes": boxes, "findings": len(findings), "read_s": read - began,
                  "check_s": ended - read, "peak_mib": peak_mib()}))
"""
VALIDATE = """
import json, time
from pipeline.data.checks import validate
looked = []
def scan_with_cache(records, plain=validate.scan_with_cache):
    began = time.monotonic()
    found = plain(records)
    looked.append(time.monotonic() - began)
    return found
validate.scan_with_cache = scan_with_cache
began = time.monotonic()
validate.validate("the data")
print(json.dumps({"seconds": time.monotonic() - began, "images_s": looked[0], "peak_mib": peak_mib()}))
"""


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """`annotations`: of the large set, without opening images. `first`: stage validate on it, and how long it looked at
    images; again after one image has changed, one box has moved, one image has gone (`one_changed`, `one_moved`,
    `one_gone`), and all files have new times (`new_times`). `images_per_second`: on `data`'s photographs."""
    if data is None:
        raise InputError("--data: expected a folder of annotated images, got none.")
    with tempfile.TemporaryDirectory() as name:
        large = measure(Path(name), IMAGES, BOXES)
    records, _ = read_dataset(data)
    check(records)  # from here on the files are in memory
    began = time.perf_counter()
    check(records)
    rate = len(records.images) / (time.perf_counter() - began)
    return {"hardware": hardware("cpu"), **large, "data": data.name, "threads": READERS, "images_per_second": rate}


def measure(folder: Path, images: int, boxes: int) -> dict[str, Any]:
    """Figures of a set of this many images and boxes, made and validated in `folder`."""
    source, project = folder / "source", folder / "project"
    write(source, images, boxes)
    annotations = _probe(READ, ROOT, str(source))
    records, _ = read_dataset(source)
    write_coco(records, project / paths.RAW_ANNOTATIONS)
    write_json(project / paths.RAW_FINDINGS, [])
    os.rename(source / "train2017", project / paths.RAW_IMAGES)
    del records
    first = _probe(VALIDATE, project)
    changed = project / paths.RAW_IMAGES / f"{images // 2:012d}.jpg"
    changed.write_bytes(_picture(images + 1))
    one_changed = _probe(VALIDATE, project)
    text = (project / paths.RAW_ANNOTATIONS).read_text(encoding="utf-8")
    first_box = text.index('"bbox": [', len(text) // 2) + len('"bbox": [')
    corner = text[first_box : text.index(",", first_box)]  # of a box in the middle: moved by a pixel
    moved = f"{text[:first_box]}{float(corner) + 1!r}{text[first_box + len(corner) :]}"
    write_text(project / paths.RAW_ANNOTATIONS, moved)
    del text, moved
    one_moved = _probe(VALIDATE, project)
    changed.unlink()  # its boxes are left out: the annotations are written anew
    one_gone = _probe(VALIDATE, project)
    for path in (project / paths.RAW_IMAGES).iterdir():
        os.utime(path)
    new_times = _probe(VALIDATE, project)
    return {
        "annotations": annotations,
        "first": first,
        "one_changed": one_changed,
        "one_moved": one_moved,
        "one_gone": one_gone,
        "new_times": new_times,
        "times_faster": {
            name: first["seconds"] / again["seconds"]
            for name, again in (("one_changed", one_changed), ("one_moved", one_moved), ("one_gone", one_gone))
        },
        "images_per_second_and_core": images / first["images_s"] / (os.cpu_count() or 1),
    }


def _probe(code: str, folder: Path, *arguments: str) -> dict[str, Any]:
    here = {"PYTHONPATH": str(ROOT), "YOLOX_SEEN": str(folder / "seen.sqlite")}
    command = [sys.executable, "-c", PEAK + code, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder, env=os.environ | here)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def write(root: Path, images: int, boxes: int) -> None:
    """An image file for each entry and one JSON file with a polygon for each box."""
    rng = random.Random(0)
    (root / "train2017").mkdir(parents=True)
    (root / "annotations").mkdir()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(lambda number: (root / _name(number)).write_bytes(_picture(number)), range(images)):
            pass
    with (root / ANNOTATIONS).open("w", encoding="utf-8") as file:
        file.write('{"info": {}, "licenses": [], "images": [')
        for number in range(images):
            name = Path(_name(number)).name
            entry = {"license": 1, "file_name": name, "height": SIZE[0], "width": SIZE[1], "id": 3 * number + 9}
            more = {"coco_url": f"http://example.org/train2017/{name}", "date_captured": "2013-11-14 11:18:45"}
            file.write(("," if number else "") + json.dumps(entry | more))
        file.write('], "annotations": [')
        for number in range(boxes):
            file.write(("," if number else "") + json.dumps(_annotation(number, images, rng)))
        categories = [{"id": number + 1, "name": f"class {number}"} for number in range(CLASSES)]
        file.write(f'], "categories": {json.dumps(categories)}}}')


def _name(number: int) -> str:
    return f"train2017/{number:012d}.jpg"


def _picture(number: int) -> bytes:
    """A picture like no other: soft shapes with grain, of about 120 KB; COCO's have 150 in the mean."""
    rng = np.random.default_rng(number)
    soft = cv2.resize(rng.integers(0, 200, (9, 12, 3), np.uint8), SIZE[::-1], interpolation=cv2.INTER_CUBIC)
    grain = cv2.resize(rng.integers(0, 56, (240, 320), np.uint8), SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    picture = cv2.add(soft, cv2.cvtColor(grain, cv2.COLOR_GRAY2BGR))
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def _annotation(number: int, images: int, rng: random.Random) -> dict[str, Any]:
    x, y = rng.random() * 500, rng.random() * 400
    width, height = 5 + rng.random() * 130, 5 + rng.random() * 70
    outline = [
        round(start + rng.random() * side, 2) for _ in range(POINTS) for start, side in ((x, width), (y, height))
    ]
    return {
        "segmentation": [outline],
        "area": round(width * height / 2, 4),
        "iscrowd": 0,
        "image_id": 3 * rng.randrange(images) + 9,
        "bbox": [round(side, 2) for side in (x, y, width, height)],
        "category_id": 1 + rng.randrange(CLASSES),
        "id": number + 1,
    }
