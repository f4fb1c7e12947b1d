"""The network, its losses and its post-processing against the reference's numbers on the COCO weights."""

import json

import numpy as np
import pytest
import torch

from tests.needs import GOLDEN, coco_nano, shared_file
from yolox_core.config import AssignConfig, AssignRule, ModelConfig
from yolox_core.data.batch import Targets
from yolox_core.inference.postprocess import select
from yolox_core.loss.detection_loss import detection_loss
from yolox_core.loss.simota import SimOTA
from yolox_core.model.weights import read_weights
from yolox_core.model.yolox import YOLOX, build_model
from yolox_core.ops.anchors import anchor_points, decode, decode_boxes
from yolox_core.ops.boxes import cxcywh_to_xyxy, xyxy_to_cxcywh


def published() -> YOLOX:
    return read_weights(coco_nano()).build()


@pytest.mark.parametrize("size", ["nano", "tiny", "s", "m", "l", "x"])
def test_architecture(size: str) -> None:
    expected = json.loads((GOLDEN / "architecture.json").read_text())[size]
    with torch.device("meta"):
        model = YOLOX(ModelConfig.of_size(size, expected["num_classes"]))
    assert sum(parameter.numel() for parameter in model.parameters()) == expected["parameters"]
    assert {name: list(tensor.shape) for name, tensor in model.state_dict().items()} == expected["state_dict"]


def test_outputs() -> None:
    golden = np.load(shared_file("golden", "model_nano_coco.npz"))
    model = published().eval()
    images = torch.from_numpy(golden["images"])
    with torch.no_grad():
        for stride, features in zip((8, 16, 32), model.backbone(images), strict=True):
            torch.testing.assert_close(features, torch.from_numpy(golden[f"neck_{stride}"]), atol=1e-3, rtol=0)
        raw = model(images)
    # the reference's undecoded output holds probabilities, not logits
    as_reference = torch.cat((raw[..., :4], raw[..., 4:].sigmoid()), dim=-1)
    torch.testing.assert_close(as_reference, torch.from_numpy(golden["raw"]), atol=1e-3, rtol=0)
    decoded = decode(raw, (images.shape[2], images.shape[3]))
    decoded = torch.cat((xyxy_to_cxcywh(decoded[..., :4]), decoded[..., 4:]), dim=-1)
    torch.testing.assert_close(decoded, torch.from_numpy(golden["decoded"]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("use_l1", [False, True])
@pytest.mark.parametrize("rule", ["yolox-2021", "yolox-2023"])
def test_losses_and_gradients(rule: AssignRule, use_l1: bool) -> None:
    golden = np.load(shared_file("golden", "model_nano_coco.npz"))
    model = published().train()
    images = torch.from_numpy(golden["images"])
    rows = torch.from_numpy(golden["targets_label_cxcywh"])
    valid = torch.from_numpy(golden["targets_valid"])
    targets = Targets(cxcywh_to_xyxy(rows[..., 1:]), rows[..., 0].long(), valid, torch.zeros_like(valid))
    radius = 2.5 if rule == "yolox-2021" else 1.5
    points = anchor_points((images.shape[2], images.shape[3]))
    raw = model(images)
    boxes = decode_boxes(raw, points)
    assigner = SimOTA(AssignConfig(rule=rule, center_radius=radius))
    assignment = assigner(boxes.detach(), raw.detach(), targets, points)
    sums = detection_loss(raw, boxes, targets, assignment, points, use_l1=use_l1)
    got = sums.normalised()
    got["total"].backward()
    prefix = f"{rule}/l1={int(use_l1)}"
    names = {"total_loss": "total", "iou_loss": "iou", "l1_loss": "l1", "conf_loss": "objectness", "cls_loss": "class"}
    for theirs, ours in names.items():
        assert float(got[ours].detach()) == pytest.approx(float(golden[f"{prefix}/{theirs}"]), rel=1e-4), theirs
    assert float(sums.positives / targets.valid_BG.sum()) == pytest.approx(float(golden[f"{prefix}/num_fg"]), rel=1e-6)
    parameters = dict(model.named_parameters())
    gradients = [key for key in golden.files if key.startswith(f"{prefix}/grad/")]
    assert len(gradients) == 5
    for key in gradients:
        expected = torch.from_numpy(golden[key])
        gradient = parameters[key.removeprefix(f"{prefix}/grad/")].grad
        assert gradient is not None
        assert float((gradient - expected).norm() / expected.norm()) < 1e-3, key


def test_postprocess() -> None:
    golden = np.load(GOLDEN / "postprocess.npz")
    predictions = torch.from_numpy(golden["predictions"])
    predictions = torch.cat((cxcywh_to_xyxy(predictions[..., :4]), predictions[..., 4:]), dim=-1)
    for index, image in enumerate(predictions):
        rows = select(image.numpy(), float(golden["conf_threshold"]), float(golden["nms_iou_threshold"]))
        np.testing.assert_allclose(rows, golden[f"detections_{index}"], atol=1e-4, rtol=0)


def test_random_weights_depend_on_seed_alone() -> None:
    config = ModelConfig(num_classes=2, width=0.125)
    torch.rand(3)
    first, again, other = (build_model(config, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
