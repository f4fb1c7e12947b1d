"""What is drawn is where it should be, and the image given stays as it was."""

import numpy as np
import torch

from yolox_core.data.batch import Assignment
from yolox_core.inference.visualize import MOST_CAPTIONS, draw_assignment, draw_boxes, points_by_level
from yolox_core.ops.anchors import anchor_points
from yolox_core.structures import ImageArray

SIZE = (96, 128)
POINTS = anchor_points(SIZE)


def grey() -> ImageArray:
    return np.full((*SIZE, 3), 100, np.uint8)


def assignment_of(matches: dict[int, int]) -> Assignment:
    matched = torch.full((1, len(POINTS.stride_A)), -1)
    for point, index in matches.items():
        matched[0, point] = index
    nobody = torch.zeros(1, 0, dtype=torch.int32)
    return Assignment(matched >= 0, matched, torch.zeros(matched.shape), nobody, most_positives=len(matches))


def changed(image: ImageArray) -> np.ndarray:
    return (image != 100).any(axis=2)


# one point of each level: columns and rows are known from the middle of their cells
AT_8, AT_16, AT_32 = 0, 16 * 12 + 8 * 6 - 1, 16 * 12 + 8 * 6 + 4 * 3 - 1


def test_points_are_drawn_where_they_are_and_larger_on_coarser_levels() -> None:
    image = grey()
    matches = {AT_8: 0, AT_16: 1, AT_32: 1}
    drawn = draw_assignment(image, np.zeros((0, 4), np.float32), [], assignment_of(matches), POINTS)
    assert (image == 100).all()
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    marked, areas = changed(drawn), []
    for x, y in ((4, 4), (120, 88), (112, 80)):
        assert marked[y, x]
    for point in matches:
        alone = draw_assignment(image, np.zeros((0, 4), np.float32), [], assignment_of({point: 0}), POINTS)
        rows, columns = changed(alone).nonzero()
        areas.append(len(rows))
        x, y = POINTS.center_A2[point].tolist()
        assert abs(rows.mean() - y) <= 0.5 and abs(columns.mean() - x) <= 0.5
    assert areas == sorted(set(areas))
    assert not marked[20:70].any()
    assert (drawn[4, 4] != drawn[80, 112]).any()  # another object, another colour


def test_objects_are_drawn_and_background_is_left_alone() -> None:
    image, box = grey(), np.array([[40.0, 30.0, 80.0, 60.0]], np.float32)
    drawn = draw_assignment(image, box, ["cat"], assignment_of({}), POINTS)
    assert (image == 100).all()
    marked = changed(drawn)
    assert marked[45, 40] and marked[60, 60] and not marked[45, 60] and not marked[80:].any()


def test_nothing_to_draw_is_a_copy() -> None:
    image = grey()
    drawn = draw_assignment(image, np.zeros((0, 4), np.float32), [], assignment_of({}), POINTS)
    assert (drawn == image).all() and not np.shares_memory(drawn, image)


def test_many_boxes_go_without_captions() -> None:
    boxes = np.array([[60.0, 60.0, 90.0, 90.0]], np.float32)
    one = changed(draw_boxes(grey(), boxes, [0], ["cat"]))
    many = np.repeat(boxes, MOST_CAPTIONS + 1, axis=0)
    none = changed(draw_boxes(grey(), many, [0] * len(many), ["cat"] * len(many)))
    assert one[:58].any() and not none[:58].any()
    assert none[60, 75]


def test_points_by_level() -> None:
    counts = points_by_level(assignment_of({AT_8: 0, AT_8 + 1: 0, AT_16: 1, AT_32: 0}), POINTS, objects=3)
    assert counts == [{8: 2, 16: 0, 32: 1}, {8: 0, 16: 1, 32: 0}, {8: 0, 16: 0, 32: 0}]
