"""The report: pictures picked by a rule, a page that stands alone, the same bytes for the same inputs."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cli.repro import summary
from pipeline.config import paths
from pipeline.config.settings import Settings
from pipeline.data.coco.coco import read_coco
from pipeline.reports import tables
from pipeline.reports.error_tables import BACKGROUND, confusion_table, threshold_table
from pipeline.reports.example_images import ImageScore, pick, score_images, verdict
from pipeline.reports.plots import MANY, Band, curves
from pipeline.reports.split_tables import size_shares, sizes_px
from pipeline.reports.training_curves import phases
from pipeline.stages import report
from tests.pipeline.reports.page_project import make
from yolox_core.atomic_files import write_json
from yolox_core.config import TrainConfig
from yolox_core.data.records import Category, DatasetRecords, ImageRecord
from yolox_core.errors import InputError
from yolox_core.evaluation.error_types import CAUSES
from yolox_core.structures import Objects

NAMES = ("circle", "<b>bold & $quare$</b>")  # a class may be called anything
IDS = (1, 7)


def box(category: int, *bbox: float, score: float | None = None) -> dict[str, Any]:
    return {"category_id": category, "bbox": list(bbox)} | ({} if score is None else {"score": score})


def test_images_are_ordered_by_their_mistakes_and_the_fullest_without_any_is_the_best() -> None:
    categories = tuple(Category(number, name) for number, name in zip(IDS, NAMES, strict=True))
    square = np.array([[0, 0, 10, 10], [20, 20, 40, 40]], np.float32)

    def image(number: int, objects: int) -> ImageRecord:
        held = Objects(square[:objects], np.zeros(objects, np.int64), np.zeros(objects, np.bool_))
        return ImageRecord(number, f"{number}.jpg", 60, 90, held)

    truth = DatasetRecords(Path("nowhere"), categories, [image(0, 1), image(1, 2), image(2, 2), image(3, 0)])
    found = [
        {"image_id": number} | box(category, *bbox, score=score)
        for number, category, bbox, score in (
            (0, 1, (0, 0, 10, 10), 0.9),
            (1, 1, (0, 0, 10, 10), 0.9),
            (1, 1, (20, 20, 20, 20), 0.8),
            (2, 7, (0, 0, 10, 10), 0.9),
            (2, 1, (70, 0, 9, 9), 0.1),  # below the threshold
        )
    ]
    scores = score_images(truth, found, 0.5)
    assert [score.record.file_name for score in scores] == ["2.jpg", "3.jpg", "0.jpg", "1.jpg"]
    assert [score.mistakes for score in scores] == [2, 0, 0, 0]
    assert verdict(scores[0].counts) == "0 found; 1 missed, 1 wrong class"
    assert verdict(scores[3].counts) == "2 found; no mistake"


@pytest.mark.parametrize(("count", "picked"), [(0, 0), (1, 1), (5, 5), (12, 12), (13, 12), (500, 12)])
def test_pictures_are_the_worst_the_middle_and_the_best_each_once(count: int, picked: int) -> None:
    scores = [ImageScore(ImageRecord(number, f"{number}.jpg", 9, 9), (), {}) for number in range(count)]
    chosen = pick(scores)
    names = [score.record.file_name for _, score in chosen]
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


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project as the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


SETTINGS = Settings(train=TrainConfig(epochs=6, warmup_epochs=1, closing_epochs=2, batch_size=8))


HEADINGS = [
    "Classes",
    "Confidence threshold",
    "Confusion matrix",
    "Error analysis (TIDE)",
    "Ground truth and predictions",
    "Training curves",
    "Data set",
    "Training and cost",
    "Export",
    "Lineage",
]


def page_of() -> str:
    report.run(SETTINGS)
    return paths.REPORT.read_text(encoding="utf-8")


def test_the_page_stands_alone_and_repeats_itself(project: Path) -> None:
    make()
    page = page_of()
    assert page_of() == page

    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", page))
    assert all(address.startswith("http://www.w3.org/") for address in addresses)  # names of SVG, never fetched
    assert "<script" not in page and "<link" not in page
    assert page.count("data:image/jpeg;base64,") == 18 + 9  # nine pairs, and three examples of each class
    assert "Object locations" in page and "Class co-occurrence" in page
    assert "box dropped" in page and "images left out" in page
    assert all(re.search(r'alt="[^"]+"', tag) for tag in re.findall(r"<img[^>]*>", page))
    assert "<b>bold" not in page and "&lt;b&gt;bold" in page
    assert "yolox-x" in page and "train.epochs" in page
    assert "Validation mAP" not in page  # no validation split, no empty figure
    assert "over 96² px" not in page  # a size that does not occur
    assert all(phase in page for phase in ("warm-up", "mosaic", "closing"))
    assert "Objects without an anchor point" in page and "stride 16" in page
    headings = re.findall(r"<h2[^>]*>([^<]+)</h2>", page)
    assert headings == HEADINGS
    assert "openvino int8" in page and "0.4875" in page and "ms 1 thread" in page
    assert "<td>3.9</td>" in page  # images a second: 30 steps of 8 in 61 s


def test_the_page_says_what_evaluate_wrote(project: Path) -> None:
    make()
    page, errors = page_of(), json.loads(paths.ERRORS.read_text())
    assert f"A threshold of <strong>{errors['threshold']:.2f}</strong>" in page
    assert errors["count"]["right"] > 0 and f"{errors['count']['right']} objects were detected correctly" in page
    table = page[page.index('id="errors"') :]
    for cause in CAUSES:
        row = re.search(rf'<th scope="row">{cause.replace("_", " ")}</th>(.*?)</tr>', table)
        assert row and f">{errors['count'][cause]}</td>" in row[1]
        assert f"{errors['cost_map_50'][cause]:.3f}</td>" in row[1]


def test_a_perfect_detector(project: Path) -> None:
    spec = make()
    truth = read_coco(paths.prepared("test"), paths.RAW_IMAGES)
    found = [
        {"image_id": image.image_id, "category_id": spec.category_ids[label], "bbox": [x1, y1, x2 - x1, y2 - y1]}
        for image in truth.images
        for (x1, y1, x2, y2), label, _ in image.objects.rows()
    ]
    assert tables.write_reports(truth, [{**entry, "score": 0.9} for entry in found])["map"] == pytest.approx(1.0)
    errors = json.loads(paths.ERRORS.read_text())
    assert errors["f1"] == 1.0 and not any(errors["count"][cause] for cause in CAUSES)
    assert "no mistake" in page_of()


def test_a_ceiling_is_stated_beside_the_figure_that_decides(project: Path) -> None:
    make()
    assert "ceiling of mAP" not in page_of()
    metrics = json.loads(paths.METRICS.read_text())
    write_json(paths.METRICS, metrics | {"map_unlimited": 0.9151, "map_ceiling": 0.5742})
    page = page_of()
    assert "ceiling of mAP" in page and "0.574" in page and "0.915" in page


def test_nothing_found_is_a_page_too(project: Path) -> None:
    make(found=False)
    errors = json.loads(paths.ERRORS.read_text())
    assert "precision" not in errors and errors["recall"] == 0.0 and errors["cost_map_50"]["missed"] == 1.0
    page = page_of()
    assert "0 found; 2 missed" in page and ">nan<" not in page


def test_no_threshold_is_recommended_for_a_class_of_which_nothing_is_right() -> None:
    whole = {"precision": "0.5", "recall": "0.5", "f1": "0.5"}
    rows = [{"threshold": "0.4", **whole, **{f"class/a/{name}": "0.0" for name in whole}}]
    (_, overall), (_, of_class) = threshold_table(rows)
    assert overall == ["0.40", "0.500", "0.500", "0.500"] and of_class == ["–", "0.000", "0.000", "0.000"]


def test_eighty_classes_stay_readable(project: Path) -> None:
    make(tuple(f"class {number}" for number in range(80)), images=50)
    page = page_of()
    assert "60 more are in reports/confusion.csv" in page
    matrix = page[page.index('<table class="confusion') :]
    assert matrix[: matrix.index("</table>")].count("<tr>") == 22  # its head, 20 classes, the background


class TestConfusion:
    ROWS = (
        {"truth": "cat", "found": "cat", "count": "8"},
        {"truth": "cat", "found": "dog", "count": "1"},
        {"truth": "cat", "found": BACKGROUND, "count": "1"},
        {"truth": BACKGROUND, "found": "dog", "count": "3"},
    )

    def test_counts_and_shares(self) -> None:
        table = confusion_table(self.ROWS)
        assert table.found == ["cat", "dog", "background"] and table.left_out == 0
        told = {name: [(cell.count, cell.percent) for cell in cells] for name, cells in table.rows}
        assert told["cat"] == [(8, 80), (1, 10), (1, 10)]
        assert told["background"] == [(0, 0), (3, 100), (0, 0)]
        assert [cell.right for cell in table.rows[0][1]] == [True, False, False]

    def test_the_classes_with_most_objects_stay(self) -> None:
        table = confusion_table(self.ROWS, most=1)
        assert table.found == ["cat", "background"] and table.left_out == 1
        assert [cell.percent for cell in table.rows[0][1]] == [80, 10]  # of all ten, those not shown included


@pytest.mark.parametrize(
    ("epochs", "bands"),
    [
        (6, [("warm-up", 0.5, 1.5), ("mosaic", 1.5, 4.5), ("closing", 4.5, 6.5)]),
        (4, [("warm-up", 0.5, 1.5), ("mosaic", 1.5, 2.5), ("closing", 2.5, 4.5)]),  # patience ended it sooner
        (2, [("closing", 0.5, 2.5)]),
        (0, []),
    ],
)
def test_phases(epochs: int, bands: list[tuple[str, float, float]]) -> None:
    assert phases(SETTINGS, epochs) == [Band(*band) for band in bands]


def test_sizes_are_those_that_the_network_sees() -> None:
    boxes = np.array([[0, 0, 10, 40], [0, 0, 8, 8]], np.float32)
    crowd = np.array([False, True])
    image = ImageRecord(1, "a.jpg", height=100, width=200, objects=Objects(boxes, np.array([0, 0]), crowd))
    records = DatasetRecords(Path(), (Category(1, "a"),), [image])
    assert sizes_px(records, (64, 64)) == pytest.approx([20 * 64 / 200])
    empty = DatasetRecords(Path(), (Category(1, "a"),), [])
    shares = size_shares({"train": records, "val": empty, "test": empty}, (64, 64))
    assert list(shares) == ["train"] and sum(share for _, share in shares["train"]) == 1.0


def test_a_missing_stage_is_named(project: Path) -> None:
    make()
    paths.EXPORT.unlink()
    with pytest.raises(InputError, match=r"reports/export\.json: no such file"):
        report.run(Settings())
    assert not paths.REPORT.exists()


def test_the_summary_says_where_things_are(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make()
    figures = json.loads(paths.METRICS.read_text())
    summary.run(Settings())
    said = capsys.readouterr().out
    assert f"map {figures['map']:.3f}, map_50 {figures['map_50']:.3f} on 9 images" in said
    assert "yolox predict IMAGE --model models:/yolox-x@challenger" in said
    assert "mlflow ui --backend-store-uri sqlite:///mlflow.db --port 5000" in said
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@tracking:5000")
    summary.run(Settings())
    said = capsys.readouterr().out
    assert "http://me:***@tracking:5000" in said and "secret" not in said
