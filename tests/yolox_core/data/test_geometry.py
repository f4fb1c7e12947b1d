"""Letterbox against golden numbers; boxes through maps and cuts, at the corners of the visibility rule."""

import numpy as np
import pytest

from tests.needs import GOLDEN
from yolox_core.config import PAD_VALUE, AugmentConfig
from yolox_core.data.geometry import cut_boxes, keep_visible, letterbox, map_boxes, random_affine
from yolox_core.structures import Objects

CONFIG = AugmentConfig(min_visibility=0.1, min_box_px=1.0)
SIZE = (100, 200)


def objects_of(*boxes: tuple[float, float, float, float]) -> Objects:
    array = np.array(boxes, np.float32).reshape(-1, 4)
    return Objects(array, np.arange(len(array)), np.zeros(len(array), np.bool_))


def test_letterbox_equals_the_reference() -> None:
    golden = np.load(GOLDEN / "letterbox.npz")
    count = sum(name.startswith("image_") for name in golden.files)
    assert count == 4
    for index in range(count):
        side = int(golden[f"input_size_{index}"])
        image, scale = letterbox(golden[f"image_{index}"], (side, side))
        assert scale == float(golden[f"ratio_{index}"])
        np.testing.assert_array_equal(
            image.transpose(2, 0, 1).astype(np.float32), golden[f"letterboxed_chw_{index}"], strict=True
        )


def test_letterbox_of_an_image_thinner_than_a_pixel() -> None:
    image, scale = letterbox(np.full((2000, 1, 3), 7, np.uint8), (64, 96))
    assert scale == 64 / 2000
    assert (image[:, 0] == 7).all() and (image[:, 1:] == PAD_VALUE).all()


def test_affine_map_stays_within_its_bounds_and_is_the_identity_without_any() -> None:
    still = AugmentConfig(degrees=0, translate=0, shear=0, mosaic_scale=(1, 1))
    np.testing.assert_allclose(random_affine(still, SIZE, np.random.default_rng(0)), [[1, 0, 0], [0, 1, 0]])
    config = AugmentConfig(degrees=0, shear=0, mosaic_scale=(0.5, 1.5), translate=0.1)
    drawn = np.array([random_affine(config, SIZE, np.random.default_rng(seed)) for seed in range(300)])
    assert drawn[:, 0, 0].min() >= 0.5 and drawn[:, 0, 0].max() <= 1.5
    assert np.abs(drawn[:, 0, 2]).max() == pytest.approx(0.1 * SIZE[1], rel=0.05)
    assert np.abs(drawn[:, 1, 2]).max() == pytest.approx(0.1 * SIZE[0], rel=0.05)


def test_mapped_box_is_the_hull_of_its_corners() -> None:
    quarter_turn = np.array([[0.0, -1.0, 10.0], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(map_boxes(np.array([[1, 2, 4, 8]], np.float32), quarter_turn), [[2, 1, 8, 4]])
    assert map_boxes(np.zeros((0, 4), np.float32), quarter_turn).shape == (0, 4)


def test_share_left_by_a_cut() -> None:
    boxes = np.array([[0, 0, 10, 10], [-10, 0, 10, 10], [300, 0, 310, 10], [5, 5, 5, 9]], np.float32)
    cut, share = cut_boxes(boxes, (0, 0, 200, 100))
    np.testing.assert_array_equal(share, [1, 0.5, 0, 0])
    np.testing.assert_array_equal(cut[1], [0, 0, 10, 10])


def test_visibility_rule_at_its_corners() -> None:
    inside, at_limit, below_limit = (10, 10, 20, 20), (-9, 0, 1, 10), (-9.1, 0, 0.9, 10)
    off, thin, just_wide, inverted = (-50, 0, -40, 10), (5, 5, 5.9, 50), (5, 5, 6, 50), (20, 20, 10, 10)
    objects = objects_of(inside, at_limit, below_limit, off, thin, just_wide, inverted)
    np.testing.assert_array_equal(keep_visible(objects, SIZE, CONFIG).labels_G, [0, 1, 5])


def test_visibility_counts_what_an_earlier_cut_took() -> None:
    objects = objects_of((0, 0, 10, 10), (-5, 0, 5, 10))
    share = np.array([0.09, 0.25], np.float32)
    np.testing.assert_array_equal(keep_visible(objects, SIZE, CONFIG, share).labels_G, [1])


def test_without_limits_only_boxes_without_area_go() -> None:
    objects = objects_of((0, 0, 0.01, 0.01), (-100, 0, 0.5, 10), (-100, 0, 0, 10), (7, 7, 7, 7))
    config = AugmentConfig(min_visibility=0, min_box_px=0)
    np.testing.assert_array_equal(keep_visible(objects, SIZE, config).labels_G, [0, 1])


def test_no_objects_stay_none() -> None:
    kept = keep_visible(objects_of(), SIZE, CONFIG)
    assert kept.boxes_G4.shape == (0, 4) and kept.boxes_G4.dtype == np.float32
