"""Weight files: read back to the bit, refused in one line, and never able to run code."""

import json
import os
import pickle
import re
import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.needs import coco_nano
from yolox_core.config import SPEC_FILE, WEIGHTS_FILE, DetectorSpec, ModelConfig
from yolox_core.errors import InputError
from yolox_core.model.coco_names import COCO_CATEGORY_IDS, COCO_NAMES
from yolox_core.model.weights import Weights, load_weights, read_weights, release
from yolox_core.model.yolox import YOLOX, build_model

SMALL = ModelConfig(num_classes=2, width=0.125)
STEM = "backbone.backbone.stem.conv.conv.weight"
SPEC = DetectorSpec(SMALL, ("cat", "dög"), (3, 7), (64, 96), confidence=0.4, nms_iou=0.6)


@pytest.fixture(scope="module")
def model() -> YOLOX:
    return build_model(SMALL, seed=4)


@pytest.fixture
def released(model: YOLOX, tmp_path: Path) -> Path:
    release(tmp_path / "released", model, SPEC)
    return tmp_path / "released"


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_files_are_readable_to_those_whom_the_umask_lets_read(model: YOLOX, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        release(tmp_path / "released", model, SPEC)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "released").iterdir()} == {0o666 & ~umask}


def refusal(path: Path) -> str:
    """The one line with which a file is refused; it names the file."""
    with pytest.raises(InputError) as refused:
        read_weights(path)
    message = str(refused.value)
    assert "\n" not in message and len(message) < 500
    assert str(path) in message
    return message


def assert_same(first: Any, second: Any) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_released_and_read_back_to_the_bit(model: YOLOX, released: Path) -> None:
    assert sorted(path.name for path in released.iterdir()) == [SPEC_FILE, WEIGHTS_FILE]
    weights = read_weights(released)
    assert weights.spec == SPEC
    assert_same(weights.state, model.state_dict())
    assert_same(weights.build().state_dict(), model.state_dict())
    release(released, build_model(SMALL, seed=5), SPEC)  # over an older one
    assert_same(read_weights(released).state, build_model(SMALL, seed=5).state_dict())


def test_released_from_channels_last(model: YOLOX, tmp_path: Path) -> None:
    release(tmp_path / "last", build_model(SMALL, seed=4).to(memory_format=torch.channels_last), SPEC)
    assert_same(read_weights(tmp_path / "last").state, model.state_dict())


def test_another_class_count_leaves_the_class_layers_fresh(released: Path) -> None:
    other = build_model(ModelConfig(num_classes=5, width=0.125), seed=1)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    weights = read_weights(released)
    report = load_weights(other, weights)
    layers = {f"head.cls_preds.{level}.{kind}" for level in range(3) for kind in ("weight", "bias")}
    why = "the data have no class names; model.class_rows: position takes all"
    assert dict(report.fresh) == dict.fromkeys(layers, f"class layers start fresh: {why}")
    assert dict(report.unused) == dict(report.fresh)
    assert set(report.loaded) == set(before) - layers
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, before[name] if name in layers else weights.state[name])
    assert report.to_dict()["loaded"] == len(before) - 6
    lines = report.lines()
    assert lines[0].endswith(f"{len(before) - 6} tensors loaded, 6 start fresh") and len(lines) == 14


def test_the_same_classes_load_whole(released: Path) -> None:
    other = build_model(SMALL, seed=1)
    report = load_weights(other, read_weights(released))
    assert not report.fresh and not report.unused
    assert_same(other.state_dict(), read_weights(released).state)


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(2, width=0.25),
        ModelConfig(2, width=0.125, depth=0.67),
        ModelConfig(2, width=0.125, depthwise=True),
    ],
    ids=["width", "depth", "depthwise"],
)
def test_another_architecture_is_refused_and_both_are_named(released: Path, config: ModelConfig) -> None:
    other = build_model(config)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(InputError) as refused:
        load_weights(other, read_weights(released))
    ours = f"expected width {config.width}, depth {config.depth}, depthwise {config.depthwise};"
    assert ours in str(refused.value)
    assert "the weights are of width 0.125, depth 0.33, depthwise False" in str(refused.value)
    assert "Set model.width to 0.125, model.depth to 0.33 and model.depthwise to false." in str(refused.value)
    assert_same(other.state_dict(), before)


def test_weights_of_a_published_size_say_which() -> None:
    tiny = ModelConfig.of_size("tiny", 2)
    given = Weights(replace(SPEC, model=tiny), build_model(tiny).state_dict(), "yolox_tiny.pth")
    with pytest.raises(InputError, match=r"Set model.size to tiny, and model.width, .* and model.depthwise to null\.$"):
        load_weights(build_model(ModelConfig.of_size("nano", 2)), given)


class Malicious:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("kind", ["torch", "torch, old format", "plain pickle"])
def test_code_in_a_pickle_never_runs(model: YOLOX, tmp_path: Path, kind: str) -> None:
    path, trap = tmp_path / "model.pth", tmp_path / "trap"
    content = {"model": model.state_dict(), "extra": Malicious(trap)}
    if kind == "plain pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "torch")
    message = refusal(path)
    assert "read safely" in message
    for advice in ("options", "Please", "weights_only", "trusted"):  # torch's, on how to run the code all the same
        assert advice not in message
    assert not trap.exists()
    torch.load(path, weights_only=False) if kind != "plain pickle" else pickle.loads(path.read_bytes())
    assert trap.exists()  # the trap works


def test_a_pickle_under_the_name_of_safetensors_never_runs(released: Path, tmp_path: Path) -> None:
    (released / WEIGHTS_FILE).write_bytes(pickle.dumps(Malicious(tmp_path / "trap")))
    assert "damaged model" in refusal(released)
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_released_model_is_refused(released: Path, share: float) -> None:
    data = (released / WEIGHTS_FILE).read_bytes()
    (released / WEIGHTS_FILE).write_bytes(data[: int(len(data) * share)])
    assert "damaged model" in refusal(released)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", "{}", '{"format_version": 1}', '{"format_version": 2}'])
def test_a_damaged_description_is_refused(released: Path, text: str) -> None:
    (released / SPEC_FILE).write_text(text)
    refusal(released)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("architecture", {"num_classes": 2, "width": 0.13}),
        ("architecture", {"num_classes": 2, "breadth": 1}),
        ("architecture", 3),
        ("class_names", ["cat"]),
        ("category_ids", ["a", "b"]),
        ("input_size", [64]),
        ("thresholds", {"confidence": "high", "nms_iou": 0.5}),
        ("thresholds", {"confidence": 2.0, "nms_iou": 0.5}),
    ],
)
def test_a_wrong_description_is_refused(released: Path, key: str, value: Any) -> None:
    plain = json.loads((released / SPEC_FILE).read_text(encoding="utf-8"))
    (released / SPEC_FILE).write_text(json.dumps({**plain, key: value}))
    with pytest.raises(InputError):
        read_weights(released)


@pytest.mark.parametrize("name", [SPEC_FILE, WEIGHTS_FILE])
def test_an_incomplete_released_model_lists_what_was_found(released: Path, name: str) -> None:
    (released / name).unlink()
    (rest,) = released.iterdir()
    assert refusal(released).endswith(f"found {rest.name}.")
    rest.unlink()
    assert refusal(released).endswith("found nothing.")


def test_a_description_of_another_network_is_refused(released: Path, model: YOLOX) -> None:
    release(released, model, replace(SPEC, model=ModelConfig(2, width=0.25)))
    assert re.search(r"\d+ tensors do not fit a YOLOX of width 0.25", refusal(released))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert "no such model" in refusal(tmp_path / "absent.pth")
    assert "no such model" in refusal(tmp_path / "absent")


@pytest.mark.parametrize("data", [b"", b"not a checkpoint", b"\x80\x02", bytes(1000), b"\xff\xd8\xff\xe0" + bytes(99)])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(data)
    message = refusal(tmp_path / "a.pth")
    assert "file an issue" not in message and "weights_only" not in message
    assert data.startswith(b"\x80") or message.endswith(
        "no checkpoint. Expected a released folder, a .pt, a .pth or an .onnx file."
    )


def test_a_nested_description_is_refused(released: Path) -> None:
    (released / SPEC_FILE).write_text("[" * 5000 + "]" * 5000)
    assert "not JSON" in refusal(released)


@pytest.mark.parametrize(
    "content",
    [
        [1, 2],
        torch.zeros(3),
        {},
        {"state_dict": {}},
        {"model": 3},
        {"model": {"a": torch.zeros(2)}},
        {"yolox_pipeline_checkpoint": 1},
        {"yolox_pipeline_checkpoint": 1, "spec": SPEC.to_dict(), "ema": {"model": {}}},
        {"yolox_pipeline_checkpoint": 1, "spec": SPEC.to_dict(), "ema": None},
        {"yolox_pipeline_checkpoint": 1, "spec": SPEC.to_dict(), "ema": {"model": [1]}},
        {"yolox_pipeline_checkpoint": 1, "spec": SPEC.to_dict(), "ema": {"model": {"a": 1}}},
        {"yolox_pipeline_checkpoint": 1, "spec": SPEC.to_dict(), "ema": {"model": {3: torch.zeros(1)}}},
        {"yolox_pipeline_checkpoint": 1, "spec": None, "ema": {"model": {}}},
        {"model": {STEM: torch.tensor(1.0)}},
        {"model": {STEM: torch.zeros(32, 1), "head.cls_preds.0.weight": torch.tensor(1.0)}},
        {"model": {STEM: torch.zeros(32, 1), "head.cls_preds.0.weight": torch.zeros(0, 1)}},
        {"model": {STEM: torch.zeros(32, 1), "head.cls_preds.0.weight": torch.zeros(2, 1)}},
        {"model": {3: torch.zeros(1), STEM: torch.zeros(32), "head.cls_preds.0.weight": torch.zeros(2)}},
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.pth")
    refusal(tmp_path / "a.pth")


def test_a_truncated_checkpoint_is_refused(model: YOLOX, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"model": model.state_dict()}, path)
    path.write_bytes(path.read_bytes()[:-2000])
    assert "read safely" in refusal(path)


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_megvii_layouts(model: YOLOX, tmp_path: Path, wrapped: bool, zipped: bool) -> None:
    state = OrderedDict(model.state_dict())
    content = {"model": state, "start_epoch": 3, "optimizer": {"state": {}}} if wrapped else state
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    weights = read_weights(tmp_path / "a.pth")
    assert_same(weights.state, state)
    assert weights.spec.model == ModelConfig(2, width=0.125, depth=1 / 3)
    assert weights.spec.class_names == ("class_0", "class_1") and weights.spec.category_ids == (1, 2)


@pytest.mark.parametrize("size", ["nano", "tiny", "s"])
def test_a_published_architecture_is_recognised(tmp_path: Path, size: str) -> None:
    config = ModelConfig.of_size(size, 4)
    torch.save({"model": build_model(config).state_dict()}, tmp_path / "a.pth")
    spec = read_weights(tmp_path / "a.pth").spec
    assert spec.model == config
    assert spec.input_size == ((640, 640) if size == "s" else (416, 416))


@pytest.mark.parametrize("scalar", [np.float64(0.25), np.float32(0.25)])
@pytest.mark.parametrize("numpy_1", [False, True])
def test_a_numpy_scalar_in_a_checkpoint_loads(model: YOLOX, tmp_path: Path, scalar: Any, numpy_1: bool) -> None:
    """Megvii's training checkpoints keep their best AP so; what is numpy._core in numpy 2 was numpy.core."""
    path = tmp_path / "a.pth"
    torch.save({"model": model.state_dict(), "best_ap": scalar}, path)
    if numpy_1:
        rename_in_pickle(path, b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert_same(read_weights(path).state, model.state_dict())


def rename_in_pickle(path: Path, old: bytes, new: bytes) -> None:
    """Rewrite a torch file with another name in its pickle."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries.items():
            if name.endswith("data.pkl"):
                assert old in data
                data = data.replace(old, new)
            archive.writestr(name, data)


def test_the_published_coco_weights_carry_coco_names() -> None:
    weights = read_weights(coco_nano())
    assert weights.spec.class_names == COCO_NAMES and weights.spec.category_ids == COCO_CATEGORY_IDS
    assert weights.spec.model == ModelConfig.of_size("nano", 80)
    assert weights.spec.input_size == (416, 416)
    named = dict(zip(weights.spec.class_names, weights.spec.category_ids, strict=True))
    assert (named["person"], named["stop sign"], named["dog"], named["toothbrush"]) == (1, 13, 18, 90)


def test_a_state_with_a_tensor_too_many_is_refused(model: YOLOX) -> None:
    weights = Weights(SPEC, {**model.state_dict(), "head.extra": torch.zeros(1)}, "a.pth")
    with pytest.raises(InputError, match=r"head\.extra has no place"):
        load_weights(build_model(SMALL), weights)
