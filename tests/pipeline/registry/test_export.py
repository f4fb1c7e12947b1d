"""The export stage on a project whose boxes are what its own detector finds: then every form has a map to lose."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.config import paths
from pipeline.config.settings import ExportSettings, Settings
from pipeline.registry.export import calibration_images, check, export
from pipeline.reports.facts import export_facts
from tests.yolox_core.conftest import SPEC, opinionated
from yolox_core.config import EvaluateConfig
from yolox_core.data.image_io import read_image
from yolox_core.errors import InputError
from yolox_core.export.comparison import spread
from yolox_core.export.formats import EXPORT_FORMATS
from yolox_core.export.model_cost import size_of
from yolox_core.inference.predictor import Predictor
from yolox_core.model.weights import release

IMAGES = {"train": 5, "test": 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/trained, images and splits."""
    root = tmp_path_factory.mktemp("export")
    release(root / paths.TRAINED, opinionated(), SPEC)
    predictor = Predictor.load(root / paths.TRAINED)
    generator = np.random.default_rng(0)
    (root / paths.RAW_IMAGES).mkdir(parents=True)
    (root / paths.PREPARED).mkdir(parents=True)
    for split, count in IMAGES.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number in range(count):
            name = f"{split}{number}.png"
            noise = generator.integers(0, 256, (96, 128, 3), np.uint8)
            cv2.imwrite(str(root / paths.RAW_IMAGES / name), noise)
            images.append({"id": number + 1, "file_name": name, "height": 96, "width": 128})
            (found,) = predictor.predict([noise])
            annotations += [
                {"id": len(annotations) + place + 1, "image_id": number + 1, "iscrowd": 0, "area": w * h}
                | {"bbox": [x, y, w, h], "category_id": SPEC.category_ids[label]}
                for place, (label, (x, y, w, h)) in enumerate(
                    zip(found.labels.tolist(), corners_to_sides(found.boxes), strict=True)
                )
            ]
        categories = [
            {"id": identity, "name": name} for identity, name in zip(SPEC.category_ids, SPEC.class_names, strict=True)
        ]
        document = {"images": images, "annotations": annotations, "categories": categories}
        (root / paths.prepared(split)).write_text(json.dumps(document), encoding="utf-8")
    return root


def corners_to_sides(boxes: np.ndarray) -> list[list[float]]:
    plain: list[list[float]] = np.column_stack((boxes[:, :2], boxes[:, 2:] - boxes[:, :2])).tolist()
    return plain


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to export in, as the current folder."""
    shutil.copytree(made, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def settings(**given: Any) -> Settings:
    return Settings(export=ExportSettings(**given))


def test_every_form_beside_pytorch(project: Path) -> None:
    chosen = settings(formats=tuple(EXPORT_FORMATS), max_map_loss_int8=1.0, int8_images=4)
    export(chosen)
    report = json.loads(paths.EXPORT.read_text(encoding="utf-8"))
    assert report["cost"] == size_of(SPEC)
    rows = report["forms"]
    assert list(rows) == ["torch", *EXPORT_FORMATS]
    assert rows["torch"]["map"] > 0.8  # its own boxes
    for form in ("onnx", "nms", "openvino"):
        assert abs(rows[form]["map_loss"]) < 0.001 and rows[form]["max_difference"] < 0.01
    for form in ("int8", "int8-openvino"):
        assert rows[form]["max_difference"] > 0.01 and rows[form]["map"] > 0.3
        assert rows[form]["map_loss"] == pytest.approx(rows["torch"]["map"] - rows[form]["map"])
    for form in EXPORT_FORMATS:
        file = paths.RELEASED / rows[form]["file"]
        parts = [file, file.with_suffix(".bin")] if file.suffix == ".xml" else [file]
        assert rows[form]["bytes"] == sum(part.stat().st_size for part in parts)
    assert all(row["ms_one_thread"] > 0 < row["ms_all_threads"] for row in rows.values())
    assert (report["map_torch"], report["map_onnx"]) == (rows["torch"]["map"], rows["onnx"]["map"])
    assert len(export_facts(report)) == 4
    modes = {path.stat().st_mode & 0o777 for path in paths.RELEASED.iterdir() if path.is_file()}
    assert modes == {paths.EXPORT.stat().st_mode & 0o777}


def test_on_crowded_images_the_map_of_all_detections_decides(project: Path) -> None:
    """The test images' boxes are now all that the detector finds with hardly any threshold: over 100 of a class."""
    thresholds = EvaluateConfig(confidence=0.01, nms_iou=0.95)
    predictor = Predictor.load(paths.TRAINED)
    path = paths.prepared("test")
    document = json.loads(path.read_text())
    document["annotations"] = []
    for image in document["images"]:
        pixels = read_image(paths.RAW_IMAGES / image["file_name"])
        (found,) = predictor.predict([pixels], thresholds.confidence, thresholds.nms_iou)
        for entry in found.to_json("", image["id"]):
            _, _, width, height = entry["bbox"]
            about = {"id": len(document["annotations"]) + 1, "iscrowd": 0, "area": width * height}
            document["annotations"].append({key: entry[key] for key in ("image_id", "category_id", "bbox")} | about)
    path.write_text(json.dumps(document))
    export(replace(settings(formats=("onnx",)), evaluate=thresholds))
    rows = json.loads(paths.EXPORT.read_text(encoding="utf-8"))["forms"]
    assert rows["torch"]["map"] < rows["torch"]["map_unlimited"] > 0.95
    assert rows["onnx"]["map_loss"] == rows["torch"]["map_unlimited"] - rows["onnx"]["map_unlimited"]


def test_a_form_that_strays_is_refused_and_leaves_nothing(project: Path) -> None:
    with pytest.raises(InputError, match=r"model_int8\.onnx: expected at most 0\.0 of map lost"):
        export(settings(formats=("onnx", "int8"), max_map_loss_int8=0.0, int8_images=1))
    assert not paths.RELEASED.exists() and not paths.EXPORT.exists()
    assert [path.name for path in paths.TRAINED.parent.iterdir()] == ["trained"]


def test_integers_are_calibrated_on_training_images_alone(project: Path) -> None:
    calibration = calibration_images(ExportSettings(formats=("onnx", "int8"), int8_images=3))
    assert [path.name for path in calibration] == ["train0.png", "train2.png", "train4.png"]
    assert all(read_image(path).shape == (96, 128, 3) for path in calibration)
    assert calibration_images(ExportSettings(formats=("onnx", "nms"))) == []


def test_a_spread_is_even_and_no_more_than_there_are() -> None:
    files = [Path(str(number)) for number in range(10)]
    assert spread(files, 4) == [files[0], files[3], files[6], files[9]]
    assert spread(files, 20) == files and spread(files, 1) == files[:1]


def test_what_is_allowed_passes() -> None:
    options = replace(ExportSettings(), max_map_loss=0.1, max_map_loss_int8=0.2)
    check("onnx", {"map_loss": 0.1, "max_difference": 0.5}, options)
    check("nms", {"map_loss": 0.0, "max_difference": None}, options)
    check("int8", {"map_loss": 0.2, "max_difference": 300.0}, options)
    with pytest.raises(InputError, match=r"0\.1 of map lost against PyTorch, got 0\.2000"):
        check("openvino", {"map_loss": 0.2, "max_difference": 0.0}, options)
    with pytest.raises(InputError, match=r"model\.xml: expected outputs within 0\.5 of PyTorch's, got 0\.6"):
        check("openvino", {"map_loss": 0.0, "max_difference": 0.6}, options)
