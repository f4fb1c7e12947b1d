"""fingerprint, ingest, validate, prepare and doctor on real files; every refusal leaves nothing behind."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from pipeline.cli import doctor
from pipeline.config import paths
from pipeline.config.settings import DataSettings, Settings, SplitSettings, SyntheticSettings
from pipeline.data.checks import validate as checking
from pipeline.data.coco.coco import read_coco, write_coco
from pipeline.data.sources import fetch
from pipeline.registry import model_reference
from pipeline.stages import fingerprint, ingest, prepare, validate
from tests.needs import ROOT
from tests.pipeline.data import folders
from yolox_core import atomic_files
from yolox_core.data.records import DatasetRecords
from yolox_core.errors import InputError

CAT, DOG = ("cat", 10, 10, 30, 40), ("dog", 40, 5, 70, 50)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project to run the stages in."""
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return folders.voc(tmp_path / "source", {f"image{number}": [CAT, DOG] for number in range(12)})


def settings(source: Path | str, **split: Any) -> Settings:
    return Settings(data=DataSettings(source=str(source), split=SplitSettings(**split)))


def run_all(chosen: Settings) -> dict[str, Any]:
    for stage in (fingerprint, ingest, validate, prepare):
        stage.run(chosen)
    manifest: dict[str, Any] = load(paths.MANIFEST)
    return manifest


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_from_a_folder_to_prepared_splits(source: Path, project: Path) -> None:
    manifest = run_all(settings(source, val=0.2))
    assert sum(manifest["images"].values()) == 12
    assert manifest["class_names"] == ["cat", "dog"] and manifest["category_ids"] == [1, 2]
    assert sum(counts["dog"] for counts in manifest["boxes"].values()) == 12
    assert 0 < len(manifest["data_digest"]) <= 36
    assert len(manifest["files"]) == 12 and not manifest["left_out"]
    for split, count in manifest["images"].items():
        assert len(load(paths.prepared(split))["images"]) == count
    assert load(paths.VALIDATION)["findings"] == 0
    assert not (paths.RAW_IMAGES / "image0.jpg").is_symlink()
    assert not list(project.rglob("*.partial")), "nothing half-written stays"


def test_the_same_source_gives_the_same_bytes(source: Path) -> None:
    def snapshot() -> dict[str, bytes]:
        run_all(settings(source))
        return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}

    assert snapshot() == snapshot()


def test_another_training_seed_is_tested_on_the_same_images(source: Path) -> None:
    chosen = settings(source)
    assert run_all(chosen) == run_all(replace(chosen, seed=5))


def test_the_data_digest_names_images_boxes_and_split(source: Path) -> None:
    first = run_all(settings(source))["data_digest"]
    folders.voc_xml(source / "Annotations" / "image3.xml", [CAT])
    second = run_all(settings(source))["data_digest"]
    folders.picture(source / "JPEGImages" / "image3.jpg", seed=99)
    third = run_all(settings(source))["data_digest"]
    assert len({first, second, third}) == 3


def test_added_images_move_no_other(source: Path) -> None:
    def sides() -> dict[str, str]:
        run_all(settings(source, val=0.3))
        splits = ("train", "val", "test")
        return {entry["file_name"]: split for split in splits for entry in load(paths.prepared(split))["images"]}

    before = sides()
    for number in range(20):
        folders.picture(source / "JPEGImages" / f"added{number}.jpg", 100 + number)
        folders.voc_xml(source / "Annotations" / f"added{number}.xml", [CAT])
    after = sides()
    assert len(after) == 32
    assert all(after[name] == side for name, side in before.items())


def test_the_fingerprint_notices_what_changes_and_nothing_else(source: Path, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"one")
    chosen = settings(source)
    chosen = replace(chosen, model=replace(chosen.model, weights=str(weights)))

    def bytes_now() -> bytes:
        fingerprint.run(chosen)
        return paths.FINGERPRINT.read_bytes() + paths.WEIGHTS.read_bytes()

    seen = [bytes_now()]
    assert bytes_now() == seen[0]
    weights.write_bytes(b"two")
    seen.append(bytes_now())
    folders.picture(source / "JPEGImages" / "new.jpg", 77)
    seen.append(bytes_now())
    os.utime(source / "Annotations" / "image1.xml", ns=(1, 1))
    seen.append(bytes_now())
    assert len(set(seen)) == 4
    assert load(paths.FINGERPRINT)["files"] == 25


def test_initial_weights_that_are_not_there_are_refused(project: Path) -> None:
    assert model_reference.weights_digest(None) is None
    with pytest.raises(InputError, match="no MLflow store"):
        model_reference.weights_digest("models:/yolox-detector@champion")
    with pytest.raises(InputError, match="no such file"):
        model_reference.weights_digest("nowhere/yolox.pth")


def test_the_embedded_scenes(project: Path) -> None:
    chosen = Settings(data=DataSettings(synthetic=SyntheticSettings(images=12)))
    manifest = run_all(chosen)
    assert sum(manifest["images"].values()) == 12 and len(manifest["class_names"]) == 5
    other = replace(chosen, data=replace(chosen.data, synthetic=SyntheticSettings(images=12, seed=1)))
    assert fetch.source_digest(chosen.data) != fetch.source_digest(other.data)


def test_bad_input_is_reported_dropped_and_counted(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = [("cat", 5, 5, 5, 9), ("cat", 30, 5, 10, 9), ("cat", 500, 5, 600, 9), ("cat", "x", 1, 2, 3), DOG, DOG]
    folders.voc_xml(source / "Annotations" / "image0.xml", bad)
    folders.voc_xml(source / "Annotations" / "lost.xml", [CAT])
    short = source / "JPEGImages" / "image1.jpg"
    short.write_bytes(short.read_bytes()[:-200])
    manifest = run_all(settings(source))
    assert sum(manifest["images"].values()) == 11
    report = load(paths.VALIDATION)
    assert report["findings_by_code"] == {
        "box-duplicate": 1,
        "box-inverted": 1,
        "box-not-numbers": 1,
        "box-outside": 1,
        "box-without-area": 1,
        "missing-image": 1,
        "truncated-image": 1,
    }
    printed = capsys.readouterr().out
    assert all(f"{entry['where']}: {entry['what']}" in printed for entry in report["list"])
    assert "box-without-area" in paths.VALIDATION_TEXT.read_text(encoding="utf-8")


def test_many_findings_are_printed_in_part(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(30):
        folders.voc_xml(source / "Annotations" / f"lost{number}.xml", [CAT])
    run_all(settings(source))
    printed = capsys.readouterr().out
    assert printed.count("(missing-image;") == 20
    assert "and 10 more, see reports/validation.json" in printed


def test_a_refused_source_changes_nothing(source: Path, project: Path, tmp_path: Path) -> None:
    run_all(settings(source))
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    empty = tmp_path / "empty"
    empty.mkdir()
    for wrong in (tmp_path / "nowhere", empty):
        with pytest.raises(InputError):
            ingest.run(settings(wrong))
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before


@pytest.mark.parametrize("boxes", [[], [("cat", 5, 5, 5, 9)]])
def test_no_usable_box_is_refused(tmp_path: Path, boxes: list[folders.Box]) -> None:
    source = folders.voc(tmp_path / "poor", {"a": boxes, "b": boxes})
    ingest.run(settings(source))
    with pytest.raises(InputError, match="expected boxes, got 2 images without any usable one"):
        validate.run(settings(source))
    assert not paths.VALID_ANNOTATIONS.exists() and not paths.VALIDATION.exists()


def test_no_usable_image_is_refused(source: Path) -> None:
    for image in (source / "JPEGImages").iterdir():
        image.write_text("no image")
    ingest.run(settings(source))
    with pytest.raises(InputError, match="expected usable images, got none"):
        validate.run(settings(source))


def test_a_split_without_objects_is_refused(tmp_path: Path) -> None:
    source = folders.voc(tmp_path / "one", {"a": [CAT], "b": []})
    folders.write(source / "ImageSets" / "Main" / "train.txt", "a\n")
    folders.write(source / "ImageSets" / "Main" / "test.txt", "b\n")
    with pytest.raises(InputError, match="expected objects in the test split"):
        run_all(settings(source))
    assert not paths.PREPARED.exists()


def test_copies_of_held_out_images_are_named(source: Path) -> None:
    shutil.copyfile(source / "JPEGImages" / "image0.jpg", source / "JPEGImages" / "image1.jpg")
    lists = source / "ImageSets" / "Main"
    folders.write(lists / "test.txt", "image0\n")
    folders.write(lists / "train.txt", "".join(f"image{number}\n" for number in range(1, 12)))
    manifest = run_all(settings(source))
    assert manifest["images"] == {"train": 10, "val": 0, "test": 1}
    assert manifest["left_out"] == ["image1.jpg"]


@pytest.mark.parametrize(
    ("words", "deprecated"),
    [(("-P", "-m", "pipeline.cli", "fingerprint"), 0), (("-m", "pipeline.stages.fingerprint"), 1)],
)
def test_the_command_line_of_a_stage_refuses_with_one_line_and_code_2(
    project: Path, tmp_path: Path, words: tuple[str, ...], deprecated: int
) -> None:
    """The older name, which goes with the next release, says so in a line of its own."""
    (project / "params.yaml").write_text(f"data: {{source: {tmp_path / 'nowhere'}}}\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *words], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    *notes, refused = done.stderr.splitlines()
    assert "no such folder" in refused
    assert len(notes) == deprecated
    assert all("says `yolox fingerprint`" in note and "yolox init --upgrade" in note for note in notes)
    assert not (project / "data").exists()


def test_doctor_says_and_returns_what_it_finds(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.examine(str(source)) == 0
    assert "12 usable images, 24 usable boxes (cat 12, dog 12); 2 findings" in capsys.readouterr().out
    folders.voc_xml(source / "Annotations" / "image0.xml", [("cat", 5, 5, 5, 9)])
    assert doctor.examine(str(source), "voc", outputs=doctor.Outputs(json=Path("out/report.json"))) == 1
    assert "box-without-area" in capsys.readouterr().out
    assert load(Path("out/report.json"))["list"][0]["code"] == "box-without-area"


def test_rare_classes_and_background_are_balanced_and_recorded(source: Path, project: Path) -> None:
    for number in range(6):
        folders.picture(source / "JPEGImages" / f"empty{number}.jpg", 100 + number)
        folders.voc_xml(source / "Annotations" / f"empty{number}.xml", [])
    folders.voc_xml(source / "Annotations" / "image0.xml", [("bird", 5, 5, 25, 29)])
    plain = settings(source)
    ingest.run(plain)
    validate.run(plain)
    prepare.run(plain)
    before = load(paths.MANIFEST)
    shares = replace(plain.data.split, background=0.1, rare=0.5)
    prepare.run(replace(plain, data=replace(plain.data, split=shares)))
    manifest = load(paths.MANIFEST)
    assert before["repeated"] == {} and before["left_out"] == []
    assert manifest["left_out"] and all(name.startswith("empty") for name in manifest["left_out"])
    assert manifest["data_digest"] != before["data_digest"] and manifest["images"]["test"] == before["images"]["test"]
    training = read_coco(paths.prepared("train"), paths.RAW_IMAGES)
    times = Counter(record.file_name for record in training.images)
    assert {name: count for name, count in times.items() if count > 1} == manifest["repeated"]


DAMAGED_PAIRS = [(paths.SIMILAR, "pairs of images", text) for text in ("", "{", "[[1]]", "null")]
NO_DIGESTS = ("", "{", "[1]", "null", "{}", '{"image1.jpg": "a"}')
DAMAGED_DIGESTS = [(paths.DIGESTS, "the sha256 of every image", text) for text in NO_DIGESTS]


@pytest.mark.parametrize(("path", "expected", "text"), [*DAMAGED_PAIRS, *DAMAGED_DIGESTS])
def test_what_validate_left_is_told_in_one_line_where_it_is_damaged(
    source: Path, path: Path, expected: str, text: str
) -> None:
    ingest.run(settings(source))
    validate.run(settings(source))
    path.write_text(text)
    with pytest.raises(InputError, match=rf"{path.name}: expected {expected}.*Run `yolox validate` again"):
        prepare.run(settings(source))


def test_copies_of_pictures_and_classes_of_few_images_are_split_with_care(source: Path) -> None:
    """60 images; each of ten has a recompressed copy, three show a bird."""
    for number in range(12, 50):
        folders.picture(source / "JPEGImages" / f"image{number}.jpg", number)
        folders.voc_xml(source / "Annotations" / f"image{number}.xml", [CAT])
    for number in range(10):
        plain = cv2.imread(str(source / "JPEGImages" / f"image{number}.jpg"))
        cv2.imwrite(str(source / "JPEGImages" / f"copy{number}.jpg"), plain, [cv2.IMWRITE_JPEG_QUALITY, 70])
        folders.voc_xml(source / "Annotations" / f"copy{number}.xml", [CAT])
    for number in (20, 21, 22):
        folders.voc_xml(source / "Annotations" / f"image{number}.xml", [CAT, ("bird", 5, 5, 25, 29)])
    manifest = run_all(settings(source, val=0.2))
    side = {
        Path(entry["file_name"]).stem: split
        for split in ("train", "val", "test")
        for entry in load(paths.prepared(split))["images"]
    }
    assert all(side[f"copy{number}"] == side[f"image{number}"] for number in range(10))
    assert {side[f"image{number}"] for number in (20, 21, 22)} == {"train", "val", "test"}
    assert manifest["similar_across_splits"] == [] and len(load(paths.SIMILAR)) == 10


@pytest.mark.parametrize("own", [False, True], ids=["voc", "synthetic"])
def test_where_nothing_is_to_mend_the_annotations_are_what_writing_them_gives(
    source: Path, tmp_path: Path, own: bool
) -> None:
    chosen = Settings(data=DataSettings(synthetic=SyntheticSettings(images=12))) if own else settings(source)
    ingest.run(chosen)
    validate.run(chosen)
    assert paths.VALID_ANNOTATIONS.read_bytes() == paths.RAW_ANNOTATIONS.read_bytes()
    write_coco(read_coco(paths.RAW_ANNOTATIONS, paths.RAW_IMAGES), tmp_path / "written.json")
    assert paths.VALID_ANNOTATIONS.read_bytes() == (tmp_path / "written.json").read_bytes()
    lost = sorted(paths.RAW_IMAGES.iterdir())[3]
    lost.unlink()
    validate.run(chosen)
    valid = read_coco(paths.VALID_ANNOTATIONS, paths.RAW_IMAGES)
    assert len(valid.images) == 11 and lost.name not in {record.file_name for record in valid.images}


def test_reports_do_not_take_the_place_of_what_is_read(source: Path, tmp_path: Path) -> None:
    annotation = next((source / "Annotations").iterdir())
    before = annotation.read_bytes()
    for outputs in (doctor.Outputs(json=annotation), doctor.Outputs(html=annotation)):
        with pytest.raises(InputError, match="expected a new file, got one of the data set"):
            doctor.examine(str(source), outputs=outputs)
    with pytest.raises(InputError, match="expected another file than --json's"):
        doctor.examine(str(source), outputs=doctor.Outputs(json=tmp_path / "a", html=tmp_path / "a"))
    with pytest.raises(InputError, match="expected a file, got a folder"):
        doctor.examine(str(source), outputs=doctor.Outputs(json=tmp_path))
    assert annotation.read_bytes() == before
    assert doctor.examine(str(source), outputs=doctor.Outputs(json=source / "report.json")) == 0


def test_a_folder_of_ours_may_be_a_link_to_a_larger_disk(source: Path, tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    paths.RAW.parent.mkdir()
    paths.RAW.symlink_to(tmp_path / "large")
    for _ in range(2):
        ingest.run(settings(source))
        assert paths.RAW.is_symlink() and len(list((tmp_path / "large" / "images").iterdir())) == 12


def test_annotations_that_change_meanwhile_are_not_taken_unchecked(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest.run(settings(source))
    checked = paths.RAW_ANNOTATIONS.read_bytes()
    plain = checking.scan_with_cache

    def scan_with_cache(records: DatasetRecords) -> object:
        paths.RAW_ANNOTATIONS.write_bytes(checked.replace(b"10.0", b"-50.0"))
        return plain(records)

    monkeypatch.setattr(checking, "scan_with_cache", scan_with_cache)
    validate.run(settings(source))
    assert paths.RAW_ANNOTATIONS.read_bytes() != checked == paths.VALID_ANNOTATIONS.read_bytes()


def test_a_copy_has_the_bytes_of_its_source_on_any_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    for content in (b"", b"abc" * 10**6):
        source.write_bytes(content)
        atomic_files.copy_file(source, target)
        assert target.read_bytes() == content

    def refuse(*arguments: int) -> int:
        raise OSError(18, "Invalid cross-device link")

    source.write_bytes(b"def")
    for way in (refuse, lambda *arguments: 0):  # some file systems copy nothing and say so only thus
        monkeypatch.setattr(os, "copy_file_range", way)
        target.unlink()
        atomic_files.copy_file(source, target)
        assert target.read_bytes() == b"def"


DAMAGED = ["", "{", "3", "null", "[3]", '["abc"]', '[{"code": "a"}]', "[" * 5000, "\0\0"]


@pytest.mark.parametrize("text", [*DAMAGED, '[{"code": 1, "where": 2, "what": 3, "action": 4}]'])
def test_damaged_findings_are_told_in_one_line(source: Path, text: str) -> None:
    ingest.run(settings(source))
    (paths.RAW / "findings.json").write_text(text)
    with pytest.raises(InputError, match=r"data/raw/findings.json: damaged .*Run stage ingest again"):
        validate.run(settings(source))
