"""`yolox predict` with every output: all say the same, each whole or absent, and nothing of the user's is touched."""

import csv
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline.data.formats.read import read_dataset
from pipeline.predict import stream
from pipeline.predict.inputs import Source
from tests.pipeline.cli.commands_project import SPEC, Yolox, break_image, state
from tests.pipeline.data import folders
from tests.pipeline.predict.clips import clip, cut
from yolox_core.data.image_io import read_image
from yolox_core.data.records import DatasetRecords

ALL = (
    *("--json", "out/found.json", "--csv", "out/found.csv", "--coco", "out/coco/found.json"),
    *("--labels", "out/labels", "--crops", "out/crops", "--save-dir", "out/drawn"),
)
CONF = ("--conf", 0, "--iou", 0.1)  # the random model is sure of nothing


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Three images, one in a folder of its own, and a video."""
    for seed, name in enumerate(("a.jpg", "b.png", "night/a.jpg")):
        folders.picture(tmp_path / "images" / name, seed, size=(48, 64))
    clip(tmp_path / "images" / "door.mp4", frames=6, size=(40, 80))
    return tmp_path / "images"


def table(path: str | Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def loaded(path: str | Path) -> list[dict[str, object]]:
    entries: list[dict[str, object]] = json.loads(Path(path).read_text(encoding="utf-8"))
    return entries


def objects(records: DatasetRecords) -> dict[str, list[tuple[str, list[float]]]]:
    """Image -> (class name, xyxy) of each object, in order."""
    return {
        image.file_name: [
            (records.class_names[int(label)], box.tolist())
            for label, box in zip(image.objects.labels_G, image.objects.boxes_G4, strict=True)
        ]
        for image in records.images
    }


@pytest.fixture
def written(yolox: Yolox, model: Path, images: Path) -> list[dict[str, object]]:
    """Every output of one run in out/; the JSON's entries."""
    before = state(images)
    ended = yolox("predict", images, "--model", model, *CONF, *ALL)
    assert ended.code == 0, ended.line
    assert state(images) == before and not list(Path().rglob("*.partial*"))
    entries = loaded("out/found.json")
    assert {SPEC.class_names[0], SPEC.class_names[1]} >= {entry["category_name"] for entry in entries}
    assert len(entries) > 9
    return entries


def test_json_and_csv_say_the_same(written: list[dict[str, object]]) -> None:
    assert len({str(entry["image_id"]) for entry in written}) > 3
    for entry, row in zip(written, table("out/found.csv"), strict=True):
        assert [float(row[key]) for key in ("x", "y", "width", "height")] == entry["bbox"]
        assert float(row["score"]) == entry["score"] and int(row["image_id"]) == entry["image_id"]
        for key in ("file_name", "category_name", "frame", "time_s"):
            assert row[key] == str(entry.get(key, ""))


def test_frames_carry_their_number_and_time(written: list[dict[str, object]]) -> None:
    frames = [entry for entry in written if entry["file_name"] == "door.mp4"]
    assert {entry["frame"] for entry in frames} == set(range(6))
    for entry in frames:
        number = int(str(entry["frame"]))
        assert entry["image_id"] == 3 + number and entry["time_s"] == pytest.approx(number / 10, abs=0.011)
    assert all("frame" not in entry for entry in written if entry["file_name"] != "door.mp4")


def test_coco_is_a_data_set(written: list[dict[str, object]], images: Path) -> None:
    document = json.loads(Path("out/coco/found.json").read_text())
    assert [image["id"] for image in document["images"]] == list(range(1, 10))
    assert [entry["id"] for entry in document["annotations"]] == list(range(1, len(written) + 1))
    for entry, annotation in zip(written, document["annotations"], strict=True):
        assert {key: annotation[key] for key in ("image_id", "category_id", "bbox", "score")} == {
            key: entry[key] for key in ("image_id", "category_id", "bbox", "score")
        }
    frame = next(image for image in document["images"] if image["file_name"] == "door.mp4/000004.jpg")
    assert (frame["video"], frame["frame"], frame["width"], frame["height"]) == ("door.mp4", 4, 80, 40)
    # beside its images our own reader takes it, and says what it is
    Path("out/labels/found.json").write_text(json.dumps(document))
    records, findings = read_dataset(Path("out/labels"), "coco")
    assert [finding.code for finding in findings] == ["boxes-with-confidence"]
    assert len(records.images) == 9 and records.category_ids == SPEC.category_ids
    assert sum(len(image.objects) for image in records.images) == len(written)


def test_labels_are_a_data_set(written: list[dict[str, object]], images: Path) -> None:
    records, findings = read_dataset(Path("out/labels"), "yolo")
    assert not findings and records.class_names == SPEC.class_names
    expected: dict[str, list[tuple[str, list[float]]]] = {image.file_name: [] for image in records.images}
    assert len(expected) == 9
    for entry in written:
        name = f"door.mp4/{entry['frame']:06d}.jpg" if "frame" in entry else entry["file_name"]
        x, y, width, height = np.asarray(entry["bbox"]).tolist()
        expected[str(name)].append((str(entry["category_name"]), [x, y, x + width, y + height]))
    for name, boxes in objects(records).items():
        assert [label for label, _ in boxes] == [label for label, _ in expected[name]]
        for (_, box), (_, truth) in zip(boxes, expected[name], strict=True):
            assert box == pytest.approx(truth, abs=1e-3)
    assert Path("out/labels/images/night/a.jpg").resolve() == images / "night" / "a.jpg"
    assert read_image(Path("out/labels/images/door.mp4/000003.jpg")).shape == (40, 80, 3)


def test_crops_are_what_the_boxes_hold(written: list[dict[str, object]], images: Path) -> None:
    shown = [
        (SPEC.class_names.index(str(entry["category_name"])), entry)
        for entry in written
        if entry["file_name"] == "b.png"
    ]
    assert shown
    image = read_image(images / "b.png")
    for number, (label, entry) in enumerate(shown, 1):
        x, y, width, height = np.asarray(entry["bbox"]).tolist()
        x1, y1, x2, y2 = round(x), round(y), round(x + width), round(y + height)
        if x2 <= x1 or y2 <= y1:
            continue  # nothing of it is in the image
        crop = read_image(Path("out/crops") / SPEC.class_names[label] / f"b_{number}.jpg")
        assert crop.shape == image[y1:y2, x1:x2].shape
        assert np.abs(crop.astype(float).mean(axis=(0, 1)) - image[y1:y2, x1:x2].mean(axis=(0, 1))).max() < 8
    assert list(Path("out/crops").glob("*/night/a_1.jpg")) and list(Path("out/crops").glob("*/door.mp4/000000_1.jpg"))


def test_drawn_images_and_a_video_of_the_same_length(written: list[dict[str, object]], images: Path) -> None:
    assert sorted(path.relative_to("out/drawn").as_posix() for path in Path("out/drawn").rglob("*.*")) == [
        *("a.jpg", "b.png", "door.mp4", "night/a.jpg")
    ]
    assert (read_image(Path("out/drawn/b.png")) != read_image(images / "b.png")).any()
    drawn = cv2.VideoCapture("out/drawn/door.mp4")
    assert [drawn.get(key) for key in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS)] == [6, 10]
    assert drawn.read()[1].shape == (40, 80, 3)


def test_every_second_frame_makes_a_video_of_the_same_length(yolox: Yolox, model: Path, images: Path) -> None:
    ended = yolox("predict", images / "door.mp4", "--model", model, "--every", 2, "--save-dir", "drawn")
    assert ended.code == 0 and "3 images in" in ended.line and not ended.out
    drawn = cv2.VideoCapture("drawn/door.mp4")
    assert [drawn.get(key) for key in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS)] == [3, 5]


def test_a_broken_video_keeps_what_came_before(yolox: Yolox, model: Path, tmp_path: Path) -> None:
    path = cut(clip(tmp_path / "door.avi", frames=30))
    ended = yolox("predict", path, "--model", model, "--conf", 0, "--json", "found.json", "--save-dir", "drawn")
    first, last = ended.line.splitlines()
    assert ended.code == 2 and "door.avi: the video breaks off: expected 30 frames, got " in first
    read = int(first.partition(", got ")[2].partition(".")[0])
    assert last.startswith(f"{read} images in ") and last.endswith(", 1 unreadable")
    assert {entry["frame"] for entry in loaded("found.json")} == set(range(read))
    assert cv2.VideoCapture("drawn/door.avi.mp4").get(cv2.CAP_PROP_FRAME_COUNT) == read


def test_many_images_get_a_rate_instead_of_lines(yolox: Yolox, model: Path, tmp_path: Path) -> None:
    for number in range(21):
        folders.picture(tmp_path / "many" / f"{number:02d}.png", number)
    break_image(tmp_path / "many" / "07.png", tmp_path / "many" / "08.png")
    ended = yolox("predict", tmp_path / "many", "--model", model, "--csv", "found.csv")
    first, last = ended.line.splitlines()
    assert ended.code == 2 and not ended.out and "07.png" in first
    assert last.startswith("20 images in ") and "images/s): 0 objects, 1 unreadable" in last
    assert table("found.csv") == []
    ended = yolox("predict", tmp_path / "many", "--model", model, "--verbose")
    assert len(ended.out.splitlines()) == 20


def test_slices_reach_the_command(yolox: Yolox, model: Path, images: Path) -> None:
    for words in (("--json", "plain.json"), ("--json", "sliced.json", "--slice", "--slice-size", 32)):
        assert yolox("predict", images / "a.jpg", "--model", model, "--conf", 0, "--iou", 1, *words).code == 0
    assert len(loaded("sliced.json")) > len(loaded("plain.json"))
    yolox("predict", images, "--model", model, "--overlap", 2).refused("overlap", "0 to 0.9")


def test_an_interrupt_keeps_what_was_done(
    yolox: Yolox, model: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the third image is looked for: all that was begun is finished and written, then code 130."""

    def pressed(*arguments: object) -> Iterator[object]:
        for number, look in enumerate(looks(*arguments), 1):  # type: ignore[arg-type]
            if number == 3:
                signal.raise_signal(signal.SIGINT)
            yield look

    looks = stream._looks
    monkeypatch.setattr(stream, "_looks", pressed)
    ended = yolox("predict", images, "--model", model, "--conf", 0, "--json", "found.json", "--labels", "labels")
    assert ended.code == 130 and "Interrupted: the remaining images were not read." in ended.line
    assert {entry["image_id"] for entry in loaded("found.json")} == {1, 2, 3}
    assert len(list(Path("labels/labels").rglob("*.txt"))) == 3


def test_a_defect_leaves_no_half_of_anything(
    yolox: Yolox, model: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(sources: list[Source], *rest: object) -> Iterator[object]:
        yield from looks(sources[:2], *rest)  # type: ignore[arg-type]
        raise RuntimeError("a defect")

    looks = stream._looks
    monkeypatch.setattr(stream, "_looks", failing)
    Path("out").mkdir()
    Path("out/found.json").write_text("earlier")
    with pytest.raises(RuntimeError, match="a defect"):
        yolox("predict", images, "--model", model, *CONF, *ALL)
    left = sorted(path.as_posix() for path in Path("out").rglob("*") if path.is_file())
    # images are drawn one by one
    assert left == ["out/drawn/a.jpg", "out/drawn/b.png", "out/found.json"]
    assert Path("out/found.json").read_text() == "earlier"


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("--json", "{images}/a.jpg"), ("--json", "one of the images")),
        (("--json", "x.json", "--coco", "x.json"), ("--coco", "that of --json")),
        (("--csv", "{images}"), ("--csv", "got a folder")),
        (("--labels", "{images}/labels"), ("--labels", "among them")),
        (("--crops", "{images}"), ("--crops", "among them")),
        (("--labels", "full"), ("--labels", "new or empty")),
        (("--every", "0"), ("--every", "1 or more")),
        (("--seconds", "nan"), ("--seconds", "above 0")),
    ],
)
def test_what_would_harm_is_refused_before_anything(
    yolox: Yolox, model: Path, images: Path, words: tuple[str, ...], refusal: tuple[str, ...]
) -> None:
    Path("full").mkdir()
    Path("full/mine.txt").write_text("mine")
    before = state(images.parent)
    yolox("predict", images, "--model", model, *(word.format(images=images) for word in words)).refused(*refusal)
    assert state(images.parent) == before


def test_two_images_whose_labels_would_be_one_file(yolox: Yolox, model: Path, images: Path) -> None:
    folders.picture(images / "b.jpg", 7)
    yolox("predict", images, "--model", model, "--labels", "labels").refused("b.jpg and b.png")
    assert yolox("predict", images, "--model", model, "--save-dir", "drawn").code == 0
