"""A user's albumentations: mistakes are refused with the nearest name, boxes follow the pixels, seeds decide all."""

import pickle
from typing import Any

import numpy as np
import pytest

from tests import needs
from tests.yolox_core.data.conftest import smooth_image
from yolox_core.config import AugmentConfig
from yolox_core.data.albumentations import UserTransforms, check_transforms
from yolox_core.errors import InputError
from yolox_core.structures import Objects

needs.module("albumentations")


def objects_of(boxes: list[list[float]]) -> Objects:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Objects(array, np.arange(len(array)) + 5, np.arange(len(array)) % 2 == 1)


def config_of(*entries: dict[str, Any]) -> AugmentConfig:
    return AugmentConfig(albumentations=entries)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "RandomBrightnesContrast"}, "Did you mean 'RandomBrightnessContrast'"),
        ({"name": "RandomBrightnessContrast", "brightness_limt": 0.2}, "Did you mean 'brightness_limit'"),
        ({"name": "RandomBrightnessContrast", "brightness_limit": "much"}, "brightness_limit: .*got 'much'"),
        ({"name": "HorizontalFlip", "p": 2}, "p: .*less than or equal to 1, got 2"),
        ({"name": "HorizontalFlip", "probability": 0.5}, "no argument 'probability'. Known: p"),
        ({"name": "RandomCrop"}, "height: Field required"),
        ({"name": "Normalize"}, "image transform of albumentations, got 'Normalize'"),
        ({"name": "FDA"}, "needs fda_metadata"),
        ({"name": "Compose"}, "got 'Compose'"),
        ({"p": 0.5}, "expected a 'name'"),
    ],
)
def test_mistakes_are_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as refused:
        check_transforms(config_of({"name": "HorizontalFlip"}, entry))
    assert str(refused.value).startswith("augment.albumentations[1]")


def test_legal_ones_pass_lists_for_ranges_included() -> None:
    check_transforms(AugmentConfig())
    check_transforms(config_of({"name": "RandomBrightnessContrast", "p": 0.2, "brightness_limit": [-0.1, 0.2]}))


def test_boxes_follow_a_mirror() -> None:
    image, objects = smooth_image(40, 60, 0), objects_of([[1, 2, 11, 12], [30, 5, 50, 35]])
    transforms = UserTransforms(config_of({"name": "HorizontalFlip", "p": 1.0}))
    mirrored, moved = transforms(image, objects, np.random.default_rng(0))
    np.testing.assert_array_equal(mirrored, image[:, ::-1])
    np.testing.assert_allclose(moved.boxes_G4, [[49, 2, 59, 12], [10, 5, 30, 35]], atol=1e-4)
    np.testing.assert_array_equal(moved.labels_G, [5, 6])
    np.testing.assert_array_equal(moved.ignore_G, [False, True])
    assert moved.boxes_G4.dtype == np.float32


def test_colours_alone_leave_boxes_as_they_are_to_the_bit() -> None:
    objects = objects_of([[0.1, 0.2, 33.3, 39.9]])
    transforms = UserTransforms(config_of({"name": "ToGray", "p": 1.0}))
    grey, after = transforms(smooth_image(40, 60, 0), objects, np.random.default_rng(0))
    np.testing.assert_array_equal(after.boxes_G4, objects.boxes_G4)
    assert (grey[..., 0] == grey[..., 2]).all()


def test_a_crop_drops_what_it_hides_and_ends_letterboxed() -> None:
    objects = objects_of([[0, 0, 10, 10], [40, 20, 50, 30]])
    crop = {"name": "Crop", "x_min": 30, "y_min": 10, "x_max": 60, "y_max": 30}
    image, after = UserTransforms(config_of(crop))(smooth_image(40, 60, 0), objects, np.random.default_rng(0))
    assert image.shape == (40, 60, 3)
    np.testing.assert_array_equal(after.labels_G, [6])
    np.testing.assert_allclose(after.boxes_G4, [[20, 20, 40, 40]], atol=1e-4)  # cropped to 30x20, then doubled


@pytest.mark.parametrize("boxes", [[], [[0, 0, 60, 40]], [[59, 39, 60, 40]]])
def test_no_objects_and_objects_at_the_edge(boxes: list[list[float]]) -> None:
    transforms = UserTransforms(config_of({"name": "VerticalFlip", "p": 1.0}))
    _, after = transforms(smooth_image(40, 60, 0), objects_of(boxes), np.random.default_rng(0))
    assert after.boxes_G4.shape == (len(boxes), 4) and len(after.ignore_G) == len(boxes)


def test_the_generator_decides_all_and_each_transform_for_itself() -> None:
    config = config_of({"name": "HorizontalFlip", "p": 0.5}, {"name": "VerticalFlip", "p": 0.5})
    first, second = UserTransforms(config), UserTransforms(config)
    image, objects = smooth_image(40, 60, 0), objects_of([[1, 2, 11, 12]])
    seen = set()
    for seed in range(24):
        box = first(image, objects, np.random.default_rng(seed))[1].boxes_G4
        second(image, objects, np.random.default_rng(seed + 1))  # another history must not matter
        again = second(image, objects, np.random.default_rng(seed))[1].boxes_G4
        np.testing.assert_array_equal(box, again)
        seen.add(tuple(box[0].round()))
    assert len(seen) == 4  # both, either and neither: albumentations' own seeding would give two


def test_they_travel_to_another_process() -> None:
    transforms = UserTransforms(config_of({"name": "HorizontalFlip", "p": 1.0}))
    transforms(smooth_image(40, 60, 0), objects_of([]), np.random.default_rng(0))
    assert len(pickle.dumps(transforms)) < 2000
