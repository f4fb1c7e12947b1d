"""A data set of COCO's size: time and memory of reading and checking its annotations, and images looked at a second."""

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.timing import hardware
from yolox_core.datasets.doctor import check
from yolox_core.datasets.formats import read_dataset
from yolox_core.datasets.images import READERS
from yolox_core.errors import InputError

IMAGES, BOXES, CLASSES = 120_000, 900_000, 80
POINTS = 22  # of a polygon: COCO's training file has 448 MB, this one 417
SIZE = (480, 640)
# a process of its own, so that the memory is its own
PROBE = """
import json, re, sys, time
from pathlib import Path
from yolox_core.datasets.doctor import check_boxes
from yolox_core.datasets.formats import read_dataset
from yolox_core.datasets.set_checks import check_classes, check_sizes
began = time.monotonic()
records, findings = read_dataset(Path(sys.argv[1]))
read = time.monotonic()
findings += [finding for record in records.images for finding in check_boxes(record)[1]]
findings += check_classes(records) + check_sizes(records, 640)
ended = time.monotonic()
peak = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
boxes = sum(len(record.boxes_G4) for record in records.images)
print(json.dumps({"images": len(records.images), "boxes": boxes, "findings": len(findings), "read_s": read - began,
                  "check_s": ended - read, "peak_mib": peak}))
"""


def run(reference: Path | None, device: str, data: Path | None, weights: Path | None) -> dict[str, Any]:
    """`annotations`: of the large set, without opening images; `images_per_second`: all checks on `data`'s images."""
    if data is None:
        raise InputError("--data: expected a folder of annotated images, got none.")
    with tempfile.TemporaryDirectory() as name:
        write(Path(name))
        done = subprocess.run([sys.executable, "-c", PROBE, name], check=True, capture_output=True, text=True)
    records, _ = read_dataset(data)
    check(records)  # from here on the files are in memory
    began = time.perf_counter()
    check(records)
    rate = len(records.images) / (time.perf_counter() - began)
    return {
        "hardware": hardware("cpu"),
        "annotations": json.loads(done.stdout),
        "data": data.name,
        "threads": READERS,
        "images_per_second": rate,
    }


def write(root: Path) -> None:
    """COCO's size: a file for each image (empty: nobody opens it) and one JSON file with a polygon for each box."""
    rng = random.Random(0)
    (root / "train2017").mkdir()
    (root / "annotations").mkdir()
    with (root / "annotations" / "instances_train2017.json").open("w", encoding="utf-8") as file:
        file.write('{"info": {}, "licenses": [], "images": [')
        for number in range(IMAGES):
            name = f"{number:012d}.jpg"
            (root / "train2017" / name).touch()
            entry = {"license": 1, "file_name": name, "height": SIZE[0], "width": SIZE[1], "id": 3 * number + 9}
            more = {"coco_url": f"http://example.org/train2017/{name}", "date_captured": "2013-11-14 11:18:45"}
            file.write(("," if number else "") + json.dumps(entry | more))
        file.write('], "annotations": [')
        for number in range(BOXES):
            x, y = rng.random() * 500, rng.random() * 400
            width, height = 5 + rng.random() * 130, 5 + rng.random() * 70
            outline = [
                round(start + rng.random() * side, 2)
                for _ in range(POINTS)
                for start, side in ((x, width), (y, height))
            ]
            entry = {
                "segmentation": [outline],
                "area": round(width * height / 2, 4),
                "iscrowd": 0,
                "image_id": 3 * rng.randrange(IMAGES) + 9,
                "bbox": [round(side, 2) for side in (x, y, width, height)],
                "category_id": 1 + rng.randrange(CLASSES),
                "id": number + 1,
            }
            file.write(("," if number else "") + json.dumps(entry))
        categories = [{"id": number + 1, "name": f"class {number}"} for number in range(CLASSES)]
        file.write(f'], "categories": {json.dumps(categories)}}}')
