"""`yolox doctor` reads deep images by the range of params.yaml, and needs nothing else of that file for it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.pipeline.cli.commands_project import Yolox


@pytest.mark.parametrize(
    ("said", "is_found"), [("{}", True), ("{range: null}", True), ("{range: [7000, 8020]}", False)]
)
def test_few_levels_are_found_unless_the_range_is_said(yolox: Yolox, tmp_path: Path, said: str, is_found: bool) -> None:
    data = tmp_path / "thermal"
    for folder in ("images", "labels"):
        (data / folder).mkdir(parents=True)
    ramp = np.tile(7000 + np.arange(0, 1021, 4, dtype=np.uint16), (64, 1))
    cv2.imwrite(str(data / "images" / "a.png"), ramp)
    (data / "labels" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (data / "data.yaml").write_text("names: [thing]\n")
    Path("params.yaml").write_text(f"data: {said}\ntrain: {{epochs: 1, warmup_epochs: 9}}\n")  # of no use to train with
    answer = yolox("doctor", data, "--input-size", 64)
    assert ("image-few-levels" in answer.out) is is_found
    assert ("a.png: 5 of 256 levels are left: its values are 7000 to 8020" in answer.out) is is_found
