"""`yolox predict`: detections in an image, or in every image of a folder."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

from pipeline.model_reference import locate
from yolox_core.datasets.atomic import write_bytes, write_json
from yolox_core.datasets.images import IMAGE_SUFFIXES
from yolox_core.errors import InputError
from yolox_core.postprocess import check_threshold
from yolox_core.predictor import Predictor
from yolox_core.structures import Detections, ImageArray
from yolox_core.visualize import draw_boxes


def predict(
    source: Path,
    model: str,
    confidence: float,
    nms_iou: float,
    json_path: Path | None,
    save_dir: Path | None,
    runtime: str | None = None,
) -> int:
    """Print what is in each image; write JSON and drawings where asked. Exit code: 2 where an image was unreadable.

    An unreadable image among others gets its line and the rest is done; where there is no other, nothing is written.
    """
    check_threshold("--conf", confidence)
    check_threshold("--iou", nms_iou)
    files = list(image_files(source))
    _check_save_dir(save_dir, source)
    predictor = Predictor.load(locate(model), runtime=runtime)
    spec = predictor.spec
    everything: list[dict[str, Any]] = []
    unreadable = 0
    answers = predictor.stream(files, confidence, nms_iou)
    for image_id, (path, answer) in enumerate(zip(files, answers, strict=True), start=1):
        name = path.name if source.is_file() else path.relative_to(source).as_posix()
        if isinstance(answer, InputError):
            print(f"error: {answer}", file=sys.stderr)
            unreadable += 1
            continue
        image, found = answer
        everything += found.to_json(name, image_id, spec.class_names, spec.category_ids)
        print(f"{name}: {_in_words(found, spec.class_names)}")
        if save_dir is not None:
            _save(save_dir / name, image, found, spec.class_names)
    if json_path is not None and unreadable < len(files):
        write_json(json_path, everything)
    return 2 if unreadable else 0


def image_files(source: Path) -> Iterator[Path]:
    """The image itself, or every image below a folder, by name; InputError where there is none."""
    if source.is_file():
        yield source
        return
    if not source.is_dir():
        raise InputError(f"{source}: no such image or folder.")
    files = sorted(path for path in source.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not files:
        raise InputError(f"{source}: expected images ({', '.join(sorted(IMAGE_SUFFIXES))}), found none.")
    yield from files


def _check_save_dir(save_dir: Path | None, source: Path) -> None:
    """InputError where drawings would land among the images, or replace them."""
    if save_dir is None:
        return
    folder = (source if source.is_dir() else source.parent).resolve()
    if save_dir.resolve() == folder or (source.is_dir() and folder in save_dir.resolve().parents):
        raise InputError(f"--save-dir {save_dir}: expected a folder apart from the images, got one among them.")


def _in_words(found: Detections, names: tuple[str, ...]) -> str:
    """`dog 0.86 [132, 207, 325, 543]; ...`: best first, boxes as corners in source pixels."""
    parts = [
        f"{names[int(label)]} {score:.2f} [{', '.join(str(round(float(side))) for side in box)}]"
        for box, score, label in zip(found.boxes_N4_source, found.scores_N, found.labels_N, strict=True)
    ]
    return "; ".join(parts) or "nothing"


def _save(path: Path, image: ImageArray, found: Detections, names: tuple[str, ...]) -> None:
    captions = [f"{names[int(label)]} {score:.2f}" for label, score in zip(found.labels_N, found.scores_N, strict=True)]
    drawn = draw_boxes(image, found.boxes_N4_source, found.labels_N.tolist(), captions)
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        path = path.with_name(f"{path.name}.png")
    encoded, content = cv2.imencode(path.suffix, drawn)
    assert encoded  # the suffix is one that OpenCV writes
    write_bytes(path, content.tobytes())
