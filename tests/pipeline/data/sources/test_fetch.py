"""Sources through the stages and commands: what is brought is the data set, once, and as it is now."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.cli import doctor
from pipeline.cli.init import create
from pipeline.cli.repro.command import new_params
from pipeline.config import paths
from pipeline.config.settings import Settings, load_settings, settings_from
from pipeline.config.source_spec import SourceSettings
from pipeline.data.coco.coco import read_coco
from pipeline.data.formats.read import read_dataset
from pipeline.data.sources import fetch
from pipeline.data.sources.fetch import bring, digest_of
from pipeline.stages import fingerprint, ingest, prepare, validate
from tests.needs import ROOT
from tests.pipeline.data import folders
from tests.pipeline.data.sources.test_archive import make_zip
from yolox_core.data.records import described
from yolox_core.errors import InputError

CAT, DOG, KATZE = ("cat", 10, 10, 30, 40), ("dog", 40, 5, 70, 50), ("Katze", 1, 2, 33, 44)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folders.voc(tmp_path / "mine", {f"image{number}": [CAT, DOG] for number in range(12)})


def packed(folder: Path) -> Path:
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return make_zip(folder.with_suffix(".zip"), files)


def settings(source: Any, **data: Any) -> Settings:
    return settings_from({"data": {"source": source, **data}})


@pytest.mark.parametrize(
    ("source", "format", "where"),
    [
        ("synthetic", "cocoo", "data.format"),
        ({"path": "a", "format": "cocoo"}, "auto", "data.source.format"),
        (["a", {"path": "b", "format": "cocoo"}], "voc", "data.source[1].format"),
    ],
)
@pytest.mark.parametrize("stage", [fingerprint, ingest], ids=["fingerprint", "ingest"])
def test_an_unknown_format_is_refused_before_anything_runs(stage: Any, source: Any, format: str, where: str) -> None:
    with pytest.raises(InputError) as refused:
        stage.run(settings(source, format=format))
    assert str(refused.value).startswith(f"{where}: expected one of auto, coco, voc, yolo, csv")
    assert str(refused.value).endswith("got 'cocoo'. Did you mean 'coco'?")


def test_an_unknown_export_format_is_refused_before_anything_runs() -> None:
    wrong = settings_from({"export": {"formats": ["onnx", "opnvino"]}})
    with pytest.raises(InputError, match=r"^export\.formats\[1\]: expected one of onnx, nms.*Did you mean 'openvino'"):
        fingerprint.run(wrong)


def test_doctor_refuses_an_unknown_format_of_params_yaml() -> None:
    Path("params.yaml").write_text("data: {source: ../mine, format: cocoo}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"^data\.format: expected one of auto, coco"):
        doctor.examine(None)


def ingested() -> Any:
    return read_coco(paths.RAW_ANNOTATIONS, paths.RAW_IMAGES)


def truth(records: Any) -> dict[str, list[str]]:
    return {image.file_name: described(image, records.class_names) for image in records.images}


def test_an_archive_is_what_it_was_packed_from(folder: Path) -> None:
    fingerprint.run(settings(str(packed(folder))))
    for stage in (ingest, validate, prepare):
        stage.run(settings(str(folder)))
    of_folder = paths.RAW_ANNOTATIONS.read_bytes(), paths.MANIFEST.read_bytes()
    for stage in (ingest, validate, prepare):
        stage.run(settings(str(packed(folder))))
    assert (paths.RAW_ANNOTATIONS.read_bytes(), paths.MANIFEST.read_bytes()) == of_folder
    assert (paths.RAW_IMAGES / "image3.jpg").read_bytes() == (folder / "JPEGImages/image3.jpg").read_bytes()


def test_an_archive_is_unpacked_when_its_bytes_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[str] = []
    unpack = fetch.unpack
    monkeypatch.setattr(fetch, "unpack", lambda *words: unpacked.append("") or unpack(*words))
    archive = packed(folder)
    source = SourceSettings(str(archive))
    seen = {digest_of(source)}
    bring(source)
    bring(source)
    assert len(unpacked) == 1
    os.utime(archive, ns=(1, 1))
    bring(source)
    assert len(unpacked) == 1, "another time, the same bytes"
    folders.voc_xml(folder / "Annotations" / "image0.xml", [CAT])
    packed(folder)
    seen |= {digest_of(source)}
    assert len(read_dataset(bring(source))[0].images[0].objects.boxes_G4) == 1
    assert len(unpacked) == 2 and len(seen) == 2


def test_what_a_source_holds_is_none_of_the_projects(folder: Path, project: Path) -> None:
    folders.write(folder / "dvc.yaml", "stages: {broken")
    bring(SourceSettings(str(packed(folder))))
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--quiet", "--no-scm"], check=True)
    done = subprocess.run([*dvc, "status"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for ignores in project.glob("data/sources/.*ignore"):
        ignores.unlink()
    assert subprocess.run([*dvc, "status"], capture_output=True, check=False).returncode, "it would be read"


def test_a_damaged_archive_leaves_the_stages_as_they_were(folder: Path) -> None:
    archive = packed(folder)
    ingest.run(settings(str(archive)))
    before = paths.RAW_ANNOTATIONS.read_bytes()
    archive.write_bytes(archive.read_bytes()[:-500])
    for _ in range(2):
        with pytest.raises(InputError, match=r"^\S+/mine.zip: damaged or no archive"):
            ingest.run(settings(str(archive)))
    assert paths.RAW_ANNOTATIONS.read_bytes() == before


def test_an_archives_digest_is_compared(folder: Path) -> None:
    archive = packed(folder)
    for _ in range(2):
        with pytest.raises(InputError, match=f"expected an archive of sha256 {'0' * 64}, got [0-9a-f]{{64}}"):
            bring(SourceSettings(str(archive), sha256="0" * 64))
        bring(SourceSettings(str(archive)))  # unpacked and trusted without one: with one it is compared all the same


def test_two_commands_at_once_unpack_once(folder: Path, project: Path) -> None:
    script = """if True:
        import sys, time
        from pipeline.config.source_spec import SourceSettings
        from pipeline.data.sources import fetch

        def slowly(*words):
            print("unpacked", flush=True)
            time.sleep(0.5)
            unpack(*words)

        unpack, fetch.unpack = fetch.unpack, slowly
        fetch.bring(SourceSettings(sys.argv[1]))
    """
    command = [sys.executable, "-c", script, str(packed(folder))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = "".join(process.communicate(timeout=60)[0] for process in running)
    assert [process.returncode for process in running] == [0, 0]
    assert told == "unpacked\n"
    assert len(list(project.glob("data/sources/*/files/Annotations/*"))) == 12


def test_two_sources_become_one(folder: Path, tmp_path: Path) -> None:
    theirs = folders.voc(
        tmp_path / "theirs", {"image0": [KATZE, DOG], "other": [KATZE], "bird": [("bird", 1, 1, 9, 9)]}
    )
    folders.write(theirs / "ImageSets" / "Main" / "test.txt", "other\n")
    classes = {"Katze": "cat", "bird": None}
    ingest.run(settings([str(folder), {"path": str(packed(theirs)), "classes": classes}]))
    first, second = truth(read_dataset(folder)[0]), truth(read_dataset(theirs)[0])
    renamed = {
        f"theirs/{name}": sorted(text.replace("Katze", "cat") for text in objects if not text.startswith("bird"))
        for name, objects in second.items()
    }
    assert truth(ingested()) == {f"mine/{name}": objects for name, objects in first.items()} | renamed
    for image in ingested().images:
        name, _, file_name = image.file_name.partition("/")
        original = (folder if name == "mine" else theirs) / "JPEGImages" / file_name
        assert ingested().path(image).read_bytes() == original.read_bytes()
        assert image.split == ("test" if image.file_name == "theirs/other.jpg" else None)
    assert len({image.image_id for image in ingested().images}) == 15


def test_the_digest_of_several_sources_changes_with_each(folder: Path, tmp_path: Path) -> None:
    other = folders.voc(tmp_path / "other", {"a": [CAT]})
    chosen = settings([str(folder), str(other)])
    seen = [fetch.source_digest(chosen.data)]
    assert fetch.source_digest(chosen.data) == seen[0] and seen[0][1] == 26
    for changed in (folder, other):
        folders.voc_xml(changed / "Annotations" / "new.xml", [CAT])
        seen.append(fetch.source_digest(chosen.data))
    assert len(set(seen)) == 3


def test_a_finding_names_its_source(folder: Path, tmp_path: Path) -> None:
    other = folders.voc(tmp_path / "other", {"a": [CAT], "b": [("cat", 5, 5, 5, 9)], "c": [("cat", "x", 1, 2, 3)]})
    for stage in (ingest, validate):
        stage.run(settings([str(folder), str(packed(other))]))
    found = json.loads(paths.VALIDATION.read_text())["list"]
    of_boxes = sorted(entry["where"] for entry in found if entry["code"].startswith("box-"))
    assert of_boxes == ["other: Annotations/b.xml: object 1", "other: Annotations/c.xml: object 1"]
    assert sum(entry["code"] == "image-duplicate" for entry in found) == 3, "copies in several sources are seen"


def test_two_sources_of_one_name_stay_apart(tmp_path: Path) -> None:
    sources = [folders.voc(tmp_path / parent / "train", {"a": [CAT]}) for parent in ("one", "two")]
    ingest.run(settings([str(source) for source in sources]))
    assert sorted(path.relative_to(paths.RAW_IMAGES).as_posix() for path in paths.RAW_IMAGES.rglob("*.jpg")) == [
        *("train-2/a.jpg", "train/a.jpg")
    ]


def test_an_archive_among_what_dvc_deletes_is_refused(folder: Path) -> None:
    paths.RAW.mkdir(parents=True)
    archive = packed(folder).rename(paths.RAW / "mine.zip")
    for stage in (fingerprint, ingest):
        with pytest.raises(InputError, match=r"apart from what the pipeline writes|not\s+written"):
            stage.run(settings(str(archive)))


def test_a_missing_archive_is_told(tmp_path: Path) -> None:
    for look in (digest_of, bring):
        with pytest.raises(InputError, match="expected an archive of annotated images, got no such file"):
            look(SourceSettings(str(tmp_path / "nowhere.tar.gz")))


def test_a_folder_called_like_an_archive_is_a_folder(tmp_path: Path) -> None:
    folder = folders.voc(tmp_path / "images.zip", {"a": [CAT]})
    assert bring(SourceSettings(str(folder))) == folder
    assert digest_of(SourceSettings(str(folder))).files == 2


def test_doctor_looks_into_everything(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor.examine(str(packed(folder))) == 0
    assert "mine.zip: 12 usable images, 24 usable boxes (cat 12, dog 12); 2 findings" in capsys.readouterr().out
    other = folders.voc(tmp_path / "other", {"a": [("Katze", 5, 5, 5, 9), KATZE]})
    sources = [str(folder), {"path": str(other), "classes": {"Katze": "cat"}}]
    paths.PARAMS.write_text(yaml.safe_dump({"data": {"source": sources}}))
    assert doctor.examine(None) == 1
    printed = capsys.readouterr().out
    assert "other: Annotations/a.xml: object 1: " in printed
    assert "other/a.jpg: same content as mine/image0.jpg" in printed
    assert "13 usable images, 25 usable boxes (cat 13, dog 12); 5 findings" in printed
    paths.PARAMS.write_text("seed: 0\n")
    with pytest.raises(InputError, match="expected a path"):
        doctor.examine(None)


def test_a_project_and_a_run_take_an_archive(folder: Path) -> None:
    archive = packed(folder)
    create(Path("mine"), str(archive), None)
    assert yaml.safe_load(Path("mine/params.yaml").read_text())["data"]["source"] == str(archive)
    create(Path("theirs"), "s3://bucket/images", None)
    with pytest.raises(InputError, match="no such folder"):
        create(Path("other"), "nowhere.zip", None)
    with pytest.raises(InputError, match="sha256"):
        create(Path("other"), "https://example.org/images.zip", None)
    assert not Path("other").exists()
    paths.PARAMS.write_text("seed: 0\n")
    assert str(archive) in new_params([], str(archive), None)
    assert load_settings() == Settings()


def test_every_file_that_a_reader_looks_for_is_watched(tmp_path: Path) -> None:
    folders.picture(tmp_path / "set" / "a.jpg")
    table = tmp_path / "set" / "labels.csv"
    table.write_text("filename,xmin,ymin,xmax,ymax,class\na.jpg,1,2,30,40,cat\n")
    before = digest_of(SourceSettings(str(tmp_path / "set")))
    table.write_text(table.read_text() + "a.jpg,5,6,20,30,dog\n")
    assert digest_of(SourceSettings(str(tmp_path / "set"))) != before
