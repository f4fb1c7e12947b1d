"""The rendered scenes: the same for the same seed, within their promised ranges."""

from pathlib import Path

import numpy as np

from pipeline.data.checks.doctor import check
from pipeline.data.coco.coco import read_coco
from pipeline.data.synthetic.scenes import CLASS_NAMES, MAX_OBJECTS, render, scene


def test_more_images_never_change_the_first_ones(tmp_path: Path) -> None:
    render(tmp_path / "few", 3, seed=1)
    render(tmp_path / "many", 6, seed=1)
    render(tmp_path / "other", 3, seed=2)
    for name in (f"scene_{index:05d}.jpg" for index in range(3)):
        few = (tmp_path / "few" / "images" / name).read_bytes()
        assert few == (tmp_path / "many" / "images" / name).read_bytes()
        assert few != (tmp_path / "other" / "images" / name).read_bytes()


def test_what_is_written_is_what_is_returned_and_nothing_is_wrong_with_it(tmp_path: Path) -> None:
    rendered = render(tmp_path, 12, seed=0)
    read = read_coco(tmp_path / "annotations.json", tmp_path / "images")
    for mine, theirs in zip(rendered.images, read.images, strict=True):
        np.testing.assert_array_equal(mine.objects.boxes_G4, theirs.objects.boxes_G4)
    usable, findings = check(read)
    assert not findings and len(usable.images) == 12


def test_counts_sizes_and_classes_are_as_promised() -> None:
    found = [scene(0, index)[1] for index in range(60)]
    counts = [len(record.objects) for record in found]
    assert min(counts) >= 1 and max(counts) <= MAX_OBJECTS
    assert 2.5 < float(np.mean(counts)) < 6
    boxes = np.concatenate([record.objects.boxes_G4 for record in found])
    longest = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
    # the drawn diameter is at most 200 px, stretched by at most 1.09
    assert longest.min() > 5 and longest.max() <= 220
    assert float((longest < 14).mean()) < 0.06
    labels = np.concatenate([record.objects.labels_G for record in found])
    assert set(labels.tolist()) == set(range(len(CLASS_NAMES)))
