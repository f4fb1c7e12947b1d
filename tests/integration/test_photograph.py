"""The published COCO weights on a photograph: Predictor and `yolox predict` against the reference's own steps.

The steps around the network are written out after Megvii-BaseDetection/YOLOX at 6ddff48 (tools/demo.py,
yolox/data/data_augment.py preproc, yolo_head.py decode_outputs, yolox/utils/boxes.py postprocess). The network itself
is held to the reference's numbers in tests/golden.
"""

import json
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
import torchvision
from typer.testing import CliRunner

from pipeline.cli.main import app
from tests.needs import coco_nano, shared_file
from yolox_core.data.image_io import read_image
from yolox_core.inference.predictor import Predictor
from yolox_core.model.coco_names import COCO_CATEGORY_IDS, COCO_NAMES
from yolox_core.model.weights import read_weights

CONFIDENCE, NMS_IOU, SIDE = 0.1, 0.45, 416


@pytest.fixture(scope="module")
def weights() -> Path:
    return coco_nano()


def photo(number: int) -> Path:
    return shared_file("datasets", f"raccoon/images/raccoon-{number}.jpg")


def as_the_reference_does(image: npt.NDArray[np.uint8], weights: Path) -> npt.NDArray[np.float32]:
    """Rows x1, y1, x2, y2, score, class in source pixels."""
    # preproc: fit, pad with 114, channels first
    ratio = min(SIDE / image.shape[0], SIDE / image.shape[1])
    padded = np.ones((SIDE, SIDE, 3), dtype=np.uint8) * 114
    shrunk = cv2.resize(
        image, (int(image.shape[1] * ratio), int(image.shape[0] * ratio)), interpolation=cv2.INTER_LINEAR
    ).astype(np.uint8)
    padded[: int(image.shape[0] * ratio), : int(image.shape[1] * ratio)] = shrunk
    pixels = torch.from_numpy(np.ascontiguousarray(padded.transpose(2, 0, 1), dtype=np.float32))[None]

    with torch.no_grad():
        outputs = read_weights(weights).build().eval()(pixels)[0]
    outputs[:, 4:] = outputs[:, 4:].sigmoid()

    # decode_outputs
    grids, strides = [], []
    for stride in (8, 16, 32):
        xv, yv = np.meshgrid(np.arange(SIDE // stride), np.arange(SIDE // stride))
        grids.append(np.stack((xv, yv), 2).reshape(-1, 2))
        strides.append(np.full((len(grids[-1]), 1), stride))
    grid, step = torch.from_numpy(np.concatenate(grids)), torch.from_numpy(np.concatenate(strides))
    centers, sizes = (outputs[:, :2] + grid) * step, torch.exp(outputs[:, 2:4]) * step

    # postprocess
    boxes = torch.cat((centers - sizes / 2, centers + sizes / 2), 1)
    class_conf, class_pred = torch.max(outputs[:, 5:], 1)
    keep = outputs[:, 4] * class_conf >= CONFIDENCE
    boxes, scores, classes = boxes[keep], (outputs[:, 4] * class_conf)[keep], class_pred[keep]
    best = torchvision.ops.batched_nms(boxes, scores, classes, NMS_IOU)
    rows = torch.cat((boxes[best] / ratio, scores[best, None], classes[best, None]), 1).numpy()
    # the demo draws, and so cuts, boxes at the image's edge; ours come cut
    rows[:, [0, 2]] = rows[:, [0, 2]].clip(0, image.shape[1])
    rows[:, [1, 3]] = rows[:, [1, 3]].clip(0, image.shape[0])
    return rows.astype(np.float32)


@pytest.mark.parametrize("number", [1, 10, 100])
def test_boxes_of_the_reference(weights: Path, tmp_path: Path, number: int) -> None:
    path = photo(number)
    image = read_image(path)
    expected = as_the_reference_does(image, weights)
    assert len(expected) > 0

    (found,) = Predictor.load(weights).predict([image], CONFIDENCE, NMS_IOU)
    assert found.labels.tolist() == expected[:, 5].tolist()
    np.testing.assert_allclose(found.scores, expected[:, 4], atol=1e-4, rtol=0)
    np.testing.assert_allclose(found.boxes, expected[:, :4], atol=0.01, rtol=0)

    out = tmp_path / "found.json"
    options = ["--model", str(weights), "--conf", str(CONFIDENCE), "--iou", str(NMS_IOU), "--json", str(out)]
    result = CliRunner().invoke(app, ["predict", str(path), *options])
    assert result.exit_code == 0, result.output
    entries = json.loads(out.read_text())
    assert [entry["category_name"] for entry in entries] == [COCO_NAMES[int(row[5])] for row in expected]
    assert [entry["category_id"] for entry in entries] == [COCO_CATEGORY_IDS[int(row[5])] for row in expected]
    assert {entry["file_name"] for entry in entries} == {path.name}
    as_corners = np.array([entry["bbox"] for entry in entries])
    as_corners[:, 2:] += as_corners[:, :2]
    np.testing.assert_allclose(as_corners, expected[:, :4], atol=0.01, rtol=0)
    np.testing.assert_allclose([entry["score"] for entry in entries], expected[:, 4], atol=1e-4, rtol=0)
