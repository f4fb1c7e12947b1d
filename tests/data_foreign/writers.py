"""One box of a cat in each format, by whatever name the annotation calls its image."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.pipeline.data import folders

BOX = (10, 8, 40, 30)  # xyxy of an image of 80 x 60 px, as folders.picture makes it
XYWH = [10.0, 8.0, 30.0, 22.0]
Writer = Callable[[Path, str], None]  # (root, how the annotation calls its image)


def write_coco(root: Path, written: str) -> None:
    image = {"id": 1, "file_name": written, "height": 60, "width": 80}
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": XYWH}
    folders.coco_json(root / "notes" / "a.json", [image], [annotation], [{"id": 1, "name": "cat"}])


def write_voc(root: Path, written: str) -> None:
    folders.voc_xml(root / "notes" / f"{Path(written).stem}.xml", [("cat", *BOX)], filename=written)


def write_csv(root: Path, written: str) -> None:
    folders.write(root / "notes" / "a.csv", f"filename,class,xmin,ymin,xmax,ymax\n{written},cat,10,8,40,30\n")


def write_labelme(root: Path, written: str) -> None:
    shape = {"label": "cat", "shape_type": "rectangle", "points": [[10, 8], [40, 30]]}
    document = {"shapes": [shape], "imagePath": written, "imageHeight": 60, "imageWidth": 80}
    folders.write(root / "notes" / f"{Path(written).stem}.json", json.dumps(document))


def write_label_studio(root: Path, written: str) -> None:
    value = {"x": 12.5, "y": 100 * 8 / 60, "width": 37.5, "height": 100 * 22 / 60, "rectanglelabels": ["cat"]}
    result = {"type": "rectanglelabels", "value": value, "original_width": 80, "original_height": 60}
    task = {"id": 1, "data": {"image": written}, "annotations": [{"result": [result]}]}
    folders.write(root / "notes" / "a.json", json.dumps([task]))


def write_cvat(root: Path, written: str) -> None:
    box = '<box label="cat" xtl="10" ytl="8" xbr="40" ybr="30"/>'
    image = f'<image id="0" name="{written}" width="80" height="60">{box}</image>'
    folders.write(root / "notes" / "a.xml", f"<annotations>{image}</annotations>")


def write_yolo(root: Path, written: str) -> None:
    folders.write(root / "labels" / f"{Path(written).stem}.txt", "0 0.3125 0.3166667 0.375 0.3666667\n")
    folders.write(root / "classes.txt", "cat\n")


def write_imagefolder(root: Path, written: str) -> None:
    entry = {"file_name": written, "objects": {"bbox": [XYWH], "categories": ["cat"]}}
    folders.write(root / "notes" / "metadata.jsonl", f"{json.dumps(entry)}\n")


WRITERS: dict[str, Writer] = {
    "coco": write_coco,
    "voc": write_voc,
    "csv": write_csv,
    "labelme": write_labelme,
    "label_studio": write_label_studio,
    "cvat": write_cvat,
    "imagefolder": write_imagefolder,
    "yolo": write_yolo,
}
BY_WRITTEN_NAME = [name for name in WRITERS if name != "yolo"]  # a label file says no name of an image
