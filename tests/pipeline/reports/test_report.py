"""The report: pictures picked by a rule, a page that stands alone, the same bytes for the same inputs."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline import paths
from pipeline.commands import summary
from pipeline.reports.pictures import ImageScore, box_iou, image_f1, pick
from pipeline.reports.plots import MANY, curves
from pipeline.settings import Settings
from pipeline.stages import report
from yolox_core.config import DetectorSpec, ModelConfig
from yolox_core.errors import InputError

NAMES = ("circle", "<b>bold & $quare$</b>")  # a class may be called anything
SPEC = DetectorSpec(ModelConfig(2, width=0.125), NAMES, (1, 7), (64, 64))


def box(category: int, *bbox: float, score: float | None = None) -> dict[str, Any]:
    return {"category_id": category, "bbox": list(bbox)} | ({} if score is None else {"score": score})


class TestF1:
    def test_nothing_to_find_and_nothing_found_is_perfect(self) -> None:
        assert image_f1([], []) == 1.0

    def test_only_one_detection_counts_for_an_object(self) -> None:
        truth = [box(1, 0, 0, 10, 10)]
        assert image_f1(truth, [box(1, 0, 0, 10, 10, score=0.9), box(1, 0, 0, 10, 9, score=0.8)]) == 2 / 3

    def test_another_class_is_no_hit(self) -> None:
        assert image_f1([box(1, 0, 0, 10, 10)], [box(7, 0, 0, 10, 10, score=0.9)]) == 0.0

    def test_a_miss_and_a_false_alarm_weigh_the_same(self) -> None:
        truth, found = box(1, 0, 0, 10, 10), box(1, 0, 0, 10, 10, score=0.9)
        other = box(1, 50, 50, 10, 10, score=0.5)
        assert image_f1([truth, other], [found]) == image_f1([truth], [found, other])

    @pytest.mark.parametrize(
        ("second", "overlap"), [((0, 0, 10, 10), 1.0), ((5, 0, 10, 10), 1 / 3), ((10, 0, 5, 5), 0), ((0, 0, 0, 0), 0)]
    )
    def test_overlap(self, second: tuple[float, ...], overlap: float) -> None:
        assert box_iou((0, 0, 10, 10), second) == pytest.approx(overlap)


@pytest.mark.parametrize(("count", "picked"), [(0, 0), (1, 1), (5, 5), (12, 12), (13, 12), (500, 12)])
def test_pictures_are_the_worst_the_middle_and_the_best_each_once(count: int, picked: int) -> None:
    scores = [ImageScore(f"{number}.jpg", (), (), number / 1000) for number in range(count)]
    chosen = pick(scores)
    names = [score.file_name for _, score in chosen]
    assert len(names) == len(set(names)) == picked
    if count:
        assert names[0] == "0.jpg"
    if count > 2:
        assert names[-1] == f"{count - 1}.jpg"
        assert [group for group, _ in chosen] == sorted((group for group, _ in chosen), reverse=True)


def test_a_figure_repeats_itself_and_takes_the_pages_colour() -> None:
    series = {name: [(0, 0.5), (1, 1.0)] for name in NAMES}
    first, second = (curves(series, title="T", x="epoch", y="y", top=1) for _ in range(2))
    assert first == second
    assert "currentColor" in first and "<b>" not in first and "$quare$" in first
    assert 'role="img" aria-label="T"' in first


def test_many_lines_have_no_legend() -> None:
    series = {f"class-{number}": [(0.0, 0.5), (1.0, 1.0)] for number in range(MANY + 1)}
    assert "class-0" not in curves(series, title="T", x="x", y="y")


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What all stages before the report leave, small."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 90, "height": 60} for n in range(3)]
    truth = [
        {"id": 1, "image_id": 0, "iscrowd": 0} | box(1, 5, 5, 30, 30),
        {"id": 2, "image_id": 1} | box(7, 1, 1, 9, 9),
    ]
    found = [{"image_id": 0, "file_name": "0.jpg"} | box(1, 6, 6, 30, 30, score=0.9)]
    documents: dict[Path, Any] = {
        paths.prepared("test"): {"images": images, "annotations": truth, "categories": []},
        paths.DETECTIONS: found,
        paths.METRICS: {"map": 0.5, "map_50": 0.75, "ar_100": 0.6, "class/circle/map": 0.5, "images": 3, "boxes": 2},
        paths.TRAINING: {"run": "x-1", "epochs": 2, "released": "last", "best_epoch": None, "train_seconds": 61.0},
        paths.VALIDATION: {"images": 9, "findings_by_code": {"outside": 2}, "list": [{"where": "a"}]},
        paths.MANIFEST: {
            "data_digest": "d" * 32,
            "images": {"train": 6, "val": 0, "test": 3},
            "boxes": {"train": {"circle": 4}, "val": {}, "test": {"circle": 1}},
            "class_names": list(NAMES),
        },
        paths.EXPORT: {"max_difference": 1e-5, "map_torch": 0.5, "map_onnx": 0.5, "map_loss": 0.0},
        paths.REGISTRATION: {"name": "yolox-x", "version": "3", "alias": "challenger", "weights_sha256": "ab" * 32},
        paths.RELEASED / "model.json": SPEC.to_dict(),
    }
    for path, document in documents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document), encoding="utf-8")
    write_csv(
        paths.HISTORY, [{"epoch": n, "loss": 3 - n, "loss/l1": 0, "learning_rate": 0.01, "map": ""} for n in (0, 1)]
    )
    write_csv(paths.PER_CLASS, [{"class": name, "images": 1, "boxes": 1, "map": 0.5, "map_50": ""} for name in NAMES])
    write_csv(paths.PRECISION_RECALL, [{"class": name, "recall": 0.5, "precision": 1} for name in NAMES])
    paths.PARAMS.write_text("seed: 0\ntrain: {epochs: 2}\n", encoding="utf-8")
    paths.RAW_IMAGES.mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(str(paths.RAW_IMAGES / f"{number}.jpg"), np.full((60, 90, 3), 60 * number, np.uint8))
    return tmp_path


def test_the_page_stands_alone_and_repeats_itself(project: Path) -> None:
    report.run(Settings())
    page = paths.REPORT.read_text(encoding="utf-8")
    report.run(Settings())
    assert paths.REPORT.read_text(encoding="utf-8") == page

    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", page))
    assert all(address.startswith("http://www.w3.org/") for address in addresses)  # names of SVG, never fetched
    assert "<script" not in page and "<link" not in page
    assert page.count("data:image/jpeg;base64,") == 6  # three pairs
    assert all(re.search(r'alt="[^"]+"', tag) for tag in re.findall(r"<img[^>]*>", page))
    assert "<b>bold" not in page and "&lt;b&gt;bold" in page
    assert "0.500" in page and "0.750" in page and "yolox-x" in page and "train.epochs" in page
    assert "Validation mAP" not in page  # no validation split, no empty figure
    assert "small" not in page  # a size that does not occur


def test_a_missing_stage_is_named(project: Path) -> None:
    paths.EXPORT.unlink()
    with pytest.raises(InputError, match=r"reports/export\.json: no such file"):
        report.run(Settings())
    assert not paths.REPORT.exists()


def test_the_summary_says_where_things_are(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    summary.run(Settings())
    said = capsys.readouterr().out
    assert "map 0.500, map_50 0.750 on 3 images" in said
    assert "yolox predict IMAGE --model models:/yolox-x@challenger" in said
    assert "mlflow ui --backend-store-uri sqlite:///mlflow.db --port 5000" in said
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@tracking:5000")
    summary.run(Settings())
    said = capsys.readouterr().out
    assert "http://me:***@tracking:5000" in said and "secret" not in said
