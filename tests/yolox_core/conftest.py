"""One small detector in every form that a model may have, made once for all tests."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from yolox_core.config import DetectorSpec, ModelConfig, Recipe
from yolox_core.export.onnx import export_onnx
from yolox_core.model.weights import release
from yolox_core.model.yolox import YOLOX, build_model
from yolox_core.training.checkpoint_saver import Saver
from yolox_core.training.state import TrainingState

SPEC = DetectorSpec(
    model=ModelConfig(num_classes=3, width=0.125),
    class_names=("cat", "dog", "kürbis"),
    category_ids=(17, 18, 90),
    input_size=(96, 128),
    confidence=0.3,
    nms_iou=0.5,
)


def opinionated(seed: int = 0) -> YOLOX:
    """A detector of random weights that says different things, and surely, at different places."""
    model = build_model(SPEC.model, seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith("running_mean"):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.4 + 0.1)
        for layer in (*model.head.cls_preds, *model.head.obj_preds):
            layer.bias.zero_()
        for layer in model.head.reg_preds:
            layer.weight.mul_(0.1)
            layer.bias[2:] = 0.7  # about two strides wide and high
    return model.eval()


@dataclass(frozen=True)
class Forms:
    """Where the same detector lies."""

    model: YOLOX
    released: Path
    pt: Path
    pth: Path
    onnx: Path


@pytest.fixture(scope="session")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Forms:
    """Released folder, checkpoint (whose raw weights differ from its average), Megvii file and ONNX."""
    root, model = tmp_path_factory.mktemp("forms"), opinionated()
    release(root / "released", model, SPEC)
    export_onnx(root / "released", root / "model.onnx")
    torch.save({"model": model.state_dict(), "start_epoch": 3}, root / "megvii.pth")
    recipe = Recipe(model=SPEC.model)
    state = TrainingState.fresh(build_model(SPEC.model, seed=9), recipe)
    state.ema.model.load_state_dict(model.state_dict())
    with Saver(root / "run") as saver:
        path = saver.save(state, recipe, SPEC, threads=1, is_best=False)
    return Forms(model, root / "released", path, root / "megvii.pth", root / "model.onnx")
