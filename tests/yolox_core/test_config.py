"""Choices are checked when they are made, and survive JSON."""

import json
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yolox_core.config import (
    SIZES,
    AssignConfig,
    AugmentConfig,
    DetectorSpec,
    EvaluateConfig,
    LossConfig,
    ModelConfig,
    Recipe,
    TrainConfig,
    bottlenecks,
)
from yolox_core.errors import InputError

UNUSUAL = Recipe(
    model=ModelConfig(num_classes=3, width=0.375, depth=0.67, depthwise=True),
    seed=7,
    assign=AssignConfig(rule="yolox-2021", center_radius=2.5, candidate_topk=5),
    loss=LossConfig(class_=0.5),
    augment=AugmentConfig(multiscale=(256, 384), albumentations=({"name": "Blur", "blur_limit": [3, 7]},)),
    train=TrainConfig(epochs=20, input_size=(320, 416), freeze=("backbone",), clip_norm=1.0, patience=3),
    evaluate=EvaluateConfig(confidence=0.01),
)


@pytest.mark.parametrize("recipe", [Recipe(model=ModelConfig(num_classes=1)), UNUSUAL], ids=["defaults", "unusual"])
def test_a_recipe_survives_json(recipe: Recipe) -> None:
    again = Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert again.to_dict() == recipe.to_dict()
    assert again.train == recipe.train  # tuples again, not lists
    assert again.augment.multiscale == recipe.augment.multiscale
    assert replace(again, augment=recipe.augment) == recipe


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        UNUSUAL.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize("size", SIZES)
def test_every_published_size_is_legal(size: str) -> None:
    config = ModelConfig.of_size(size, num_classes=80)
    assert (config.width, config.depth, config.depthwise) == SIZES[size][:3]


@given(st.integers(min_value=1, max_value=8 * 64))
def test_every_multiple_of_a_64th_is_a_legal_width(steps: int) -> None:
    assert ModelConfig(num_classes=1, width=steps / 64).width == steps / 64


@given(st.floats(min_value=1 / 64, max_value=8, exclude_min=True).filter(lambda width: width * 64 % 1))
def test_any_other_width_names_its_two_neighbours(width: float) -> None:
    with pytest.raises(InputError, match="Nearest legal") as refused:
        ModelConfig(num_classes=1, width=width)
    low, high = int(width * 64) / 64, (int(width * 64) + 1) / 64
    assert f"{low} or {high}" in str(refused.value)
    assert ModelConfig(num_classes=1, width=low).width < width < ModelConfig(num_classes=1, width=high).width


@pytest.mark.parametrize("width", [0.0, -0.25, 8.25, float("nan"), float("inf")])
def test_a_width_out_of_range_is_refused(width: float) -> None:
    with pytest.raises(InputError, match=r"model\.width"):
        ModelConfig(num_classes=1, width=width)


@pytest.mark.parametrize(("depth", "count"), [(0.2, 1), (0.33, 1), (0.67, 2), (1.0, 3), (1.33, 4), (1.5, 4), (8.0, 24)])
def test_a_legal_depth_and_its_bottlenecks(depth: float, count: int) -> None:
    assert bottlenecks(ModelConfig(num_classes=1, depth=depth).depth) == count


@pytest.mark.parametrize("depth", [0.16, 0.0, -1.0, 8.1, float("nan"), float("inf")])
def test_an_illegal_depth_is_refused(depth: float) -> None:
    with pytest.raises(InputError, match=r"model\.depth"):
        ModelConfig(num_classes=1, depth=depth)


@pytest.mark.parametrize(
    ("kind", "given_", "where"),
    [
        (ModelConfig, {"num_classes": 0}, "model.num_classes"),
        (AssignConfig, {"center_radius": 0.0}, "assign.center_radius"),
        (AssignConfig, {"candidate_topk": 0}, "assign.candidate_topk"),
        (AssignConfig, {"iou_weight": float("nan")}, "assign.iou_weight"),
        (LossConfig, {"class_": -1.0}, "loss.class"),
        (AugmentConfig, {"mosaic": 1.5}, "augment.mosaic"),
        (AugmentConfig, {"mosaic_scale": (1.5, 0.5)}, "augment.mosaic_scale"),
        (AugmentConfig, {"multiscale": (256, 300)}, "augment.multiscale"),
        (TrainConfig, {"epochs": 0}, "train.epochs"),
        (TrainConfig, {"epochs": 10}, "train.epochs"),  # fewer than warm-up and closing phase together
        (TrainConfig, {"input_size": (320, 300)}, "train.input_size"),
        (TrainConfig, {"learning_rate": 0.0}, "train.learning_rate"),
        (TrainConfig, {"ema_decay": 1.0}, "train.ema_decay"),
        (TrainConfig, {"precision": "float16"}, "train.precision"),
        (EvaluateConfig, {"nms_iou": 1.1}, "evaluate.nms_iou"),
    ],
)
def test_an_illegal_value_is_named(kind: Any, given_: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError) as refused:
        kind(**given_)
    assert str(refused.value).startswith(f"{where}: expected")


SPEC = DetectorSpec(
    model=ModelConfig(num_classes=2, width=0.25),
    class_names=("cat", "dog"),
    category_ids=(17, 18),
    input_size=(320, 416),
    confidence=0.3,
)


def test_a_spec_survives_json() -> None:
    assert DetectorSpec.from_dict(json.loads(json.dumps(SPEC.to_dict()))) == SPEC


def test_a_spec_of_another_format_is_refused() -> None:
    with pytest.raises(InputError, match="format_version"):
        DetectorSpec.from_dict({**SPEC.to_dict(), "format_version": 2})


@pytest.mark.parametrize("missing", ["architecture", "class_names", "category_ids", "input_size", "thresholds"])
def test_an_incomplete_spec_is_refused(missing: str) -> None:
    plain = SPEC.to_dict()
    del plain[missing]
    with pytest.raises(InputError, match=missing):
        DetectorSpec.from_dict(plain, where="elsewhere/model.json")


def test_names_and_ids_fit_the_number_of_classes() -> None:
    with pytest.raises(InputError, match="class_names"):
        replace(SPEC, class_names=("cat",))
    with pytest.raises(InputError, match="category_ids"):
        replace(SPEC, category_ids=(1, 2, 3))


ENDLESS: list[Any] = []
for _ in range(900):
    ENDLESS = [ENDLESS]
WIDE: list[Any] = []
for _ in range(20):
    WIDE = [WIDE] * 9


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input_size", [33, 33]),
        ("input_size", [0, 0]),
        ("input_size", [-32, 64]),
        ("input_size", [10_000_000, 10_000_000]),
        ("input_size", [8224, 64]),
        ("input_size", [64.0, 64]),
        ("input_size", [float("inf"), 64]),
        ("input_size", [64, 64, 64]),
        ("input_size", ENDLESS),
        ("category_ids", [float("inf"), 1]),
        ("category_ids", [1.5, 2]),
        ("category_ids", [True, 2]),
        ("category_ids", [4, 4]),
        ("class_names", "ab"),
        ("class_names", [None, "dog"]),
        ("class_names", [{}, "dog"]),
        ("class_names", ENDLESS),
        ("architecture", {"num_classes": 2.0}),
        ("architecture", {"num_classes": True}),
        ("architecture", {"num_classes": 2, "width": True}),
        ("architecture", {"num_classes": 2, "width": 10**400}),
        ("architecture", {"num_classes": 2, "depthwise": "no"}),
        ("architecture", ENDLESS),
        ("architecture", WIDE),
        ("thresholds", {"confidence": "0.5", "nms_iou": 0.5}),
        ("thresholds", {"confidence": 10**400, "nms_iou": 0.5}),
        ("format_version", ENDLESS),
        ("format_version", True),
    ],
)
def test_a_spec_of_other_values_is_refused_in_one_line(key: str, value: Any) -> None:
    with pytest.raises(InputError) as refused:
        DetectorSpec.from_dict({**SPEC.to_dict(), key: value}, where="elsewhere/model.json")
    assert str(refused.value).startswith("elsewhere/model.json: ") and len(str(refused.value)) < 500


@pytest.mark.parametrize("size", [(32, 32), (8192, 8192)])
def test_the_smallest_and_the_largest_input(size: tuple[int, int]) -> None:
    assert DetectorSpec.from_dict(replace(SPEC, input_size=size).to_dict()).input_size == size
