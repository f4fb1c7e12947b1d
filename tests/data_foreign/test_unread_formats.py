"""Formats that are not read are called by their own name, with what to export instead; what is read stays read."""

import json
import re
import shutil
from pathlib import Path

import pytest

from pipeline.data.formats.annotation_formats import ANNOTATION_FORMATS
from pipeline.data.formats.read import read_dataset
from pipeline.data.formats.unread_formats import UNREAD_FORMATS
from pipeline.data.parsing.folder_listing import Listing
from tests.data_foreign import reading
from tests.pipeline.data import folders
from yolox_core.errors import InputError

REFUSED = {
    "unclaimed/coco_results": "COCO results",
    "unclaimed/createml": "CreateML",
    "unclaimed/datumaro": "Datumaro",
    "unclaimed/dota": "labelTxt",
    "unclaimed/keras_yolo_txt": "_annotations.txt",
    "unclaimed/mot": "MOT",
    "unclaimed/odgt": "CrowdHuman",
    "unclaimed/sagemaker_manifest": "SageMaker",
    "unclaimed/via_json": "VIA",
    "unclaimed/visdrone_txt": "annotations/",
    "createml_called_label_studio": "CreateML",
}
OWL = {"x.jpg": [("owl", [5.0, 6.0, 20.0, 24.0])]}
READ = {
    "unclaimed/makesense_csv_header": OWL,
    "unclaimed/makesense_csv": OWL,
    "unclaimed/automl_csv": {"x.jpg": [("owl", [6.0, 8.0, 18.0, 20.0])]},
    "csv_box_in_one_column": {
        "w1.jpg": [("wheat", [5.0, 6.0, 20.0, 24.0]), ("wheat", [30.0, 4.0, 10.0, 12.0])],
        "w2.jpg": [("wheat", [8.0, 6.0, 17.0, 24.0])],
    },
    "unclaimed/hf_imagefolder": {"x.jpg": [("2", [5.0, 6.0, 20.0, 24.0])]},
}

REGION = {"shape_attributes": {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}, "region_attributes": {}}
LINE = "5.0 6.0 25.0 6.0 25.0 30.0 5.0 30.0"
# the name's beginning -> files that bear the mark, each alone enough: (name, text)
MARKED = {
    "VIA": [
        ("via_project.json", json.dumps({"_via_settings": {}, "_via_img_metadata": {}})),
        ("boxes.json", json.dumps({"a.jpg12": {"filename": "a.jpg", "size": 12, "regions": [REGION]}})),
        ("boxes.json", json.dumps({"a.jpg12": {"filename": "a.jpg", "regions": {"0": REGION}}}, indent=1)),
        (
            "via3.json",
            json.dumps({"project": {}, "config": {}, "attribute": {}, "file": {}, "metadata": {}, "view": {}}),
        ),
        (
            "via.csv",
            "#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes\na.jpg,9,,1,0,\n",
        ),
    ],
    "VoTT": [
        ("set.vott", "{}"),
        ("vott-json-export/set-export.json", json.dumps({"name": "set", "tags": [], "assets": {}})),
        ("0a1b-asset.json", json.dumps({"asset": {"name": "a.jpg"}, "regions": [], "version": "2.2.0"})),
    ],
    "CreateML": [
        ("a.json", '[{"imagefilename": "a.jpg", "annotation": [{"coordinates": {"x": 1}, "label": "cat"}]}]'),
        ("a.json", '[{"image": "a.jpg", "annotations": [{"label": "cat", "coordinates": {"x": 1}}]}]'),
    ],
    "Supervisely": [
        ("ds/ann/a.jpg.json", json.dumps({"size": {}, "objects": [{"classTitle": "cat", "points": {"exterior": []}}]})),
        ("meta.json", json.dumps({"classes": [{"title": "cat", "shape": "rectangle"}], "tags": []})),
    ],
    "Datumaro": [
        ("annotations/train.json", '{"dm_format_version": "1.0", "infos": {}, "items": []}'),
        ("annotations/train.json", '{"info": {}, "categories": {"label": {"labels": []}}, "items": []}'),
    ],
    "COCO results": [("a.bbox.json", '[\n {"image_id":1,"bbox":[1,2,3,4],"score":0.9,"category_id":1}]')],
    "COCO captions": [
        ("annotations/captions_val2017.json", '{"images": [], "annotations": []}'),
        ("a.json", '{"images": [], "annotations": [{"image_id": 1, "id": 1, "caption": "A cat."}]}'),
    ],
    "Cityscapes": [
        ("gtFine/train/a_gtFine_polygons.json", "{}"),
        ("a.json", json.dumps({"imgHeight": 9, "imgWidth": 9, "objects": [{"label": "car", "polygon": []}]})),
    ],
    "BDD100K": [("det_val.json", '[{"name": "a.jpg", "labels": [{"category": "car", "box2d": {"x1": 1}}]}]')],
    "Darwin": [("a.json", '{"version": "2.0", "item": {"name": "a.jpg", "slots": []}, "annotations": []}')],
    "Labelbox": [("export.ndjson", '{"data_row": {"id": "c"}, "projects": {}}\n')],
    "Hasty": [("export.json", '{"label_classes": [], "images": [{"image_name": "a.jpg", "labels": []}]}')],
    "a manifest of SageMaker": [("train.manifest", '{"source-ref": "s3://b/a.jpg", "boxes": {}}\n')],
    "Vertex AI": [("import.jsonl", '{"imageGcsUri": "gs://b/a.jpg", "boundingBoxAnnotations": []}\n')],
    "CrowdHuman": [("annotation_val.odgt", '{"ID": "a", "gtboxes": []}\n')],
    "JSON lines for": [("_annotations.train.jsonl", '{"image": "a.jpg", "suffix": "<loc0010><loc0020> cat"}\n')],
    "a Hugging Face imagefolder": [
        ("metadata.jsonl", '{"file_name": "a.jpg", "text": "a cat"}\n'),
        ("train/metadata.csv", "file_name,text\na.jpg,a cat\n"),
    ],
    "Parquet": [("data/train-00000-of-00001.parquet", "PAR1")],
    "TFRecord": [("train/cats.tfrecord", "\0"), ("train.record-00000-of-00010", "\0")],
    "MXNet": [("train.rec", "\0")],
    "MATLAB": [("annotations.mat", "MATLAB 5.0 MAT-file")],
    "dlib": [("faces.xml", "<dataset><images><image file='a.jpg'><box top='1' left='2'/></image></images></dataset>")],
    "UA-DETRAC": [("MVI_20011.xml", '<sequence name="MVI_20011"><frame num="1"><target_list/></frame></sequence>')],
    "DOTA": [
        ("labelTxt-v1.0/a.txt", "imagesource:GoogleEarth\ngsd:0.1\n"),
        ("anns/a.txt", f"imagesource:x\n{LINE} large-vehicle 1\n{LINE} ship 0\n"),
    ],
    "KITTI": [("label_2/000001.txt", "Car 0.00 0 -1.57 599.4 156.4 629.7 189.2 2.8 2.1 9.5 -12.0 1.6 59.5 -1.7\n" * 2)],
    "WIDER FACE": [
        ("wider_face_split/wider_face_train_bbx_gt.txt", ""),
        ("gt/a.txt", "0--Parade/a.jpg\n1\n449 330 122 149 0 0 0 0 0 0 \n"),
    ],
    "MOT": [("gt/gt.txt", "1,1,5,6,20,24,1,1,1\n"), ("train/MOT17-02/det/det.txt", "1,-1,5,6,20,24,0.9\n")],
    "VisDrone": [("annotations/a.txt", "5,6,20,24,1,4,0,0\n5,6,20,24,1,4,0,1,\n")],
    "ICDAR": [("gt_img_1.txt", "1,2,9,2,9,8,1,8,Genaxis Theatre\n1,2,9,2,9,8,1,8,###\n")],
    "a list of keras-yolo3": [
        ("_annotations.txt", "a.jpg 5,6,25,30,0 1,2,3,4,1\nb c.jpg\n"),
        ("train.txt", "/data/a b/a.jpg 5,6,25,30,0\n"),
    ],
    "OIDv4": [("train/Apple/Label/0a1b.txt", "Traffic light 1.0 2.5 30.75 40.0\n")],
    "a list of whole images": [("train/_classes.csv", "filename, cat, dog\na.jpg, 1, 0\n")],
    "Label Studio's CSV": [("p.csv", 'image,label\na.jpg,"[{""x"":1,""rectanglelabels"":[""cat""]}]"\n')],
    "GeoJSON": [("xView_train.geojson", '{"type": "FeatureCollection", "features": []}')],
    "masks without boxes": [("SegmentationClass/a.png", "pixels")],
    "a table without a header": [
        ("a.csv", "a.jpg,1,2,3,4,5,6,7,8,cat\n"),
        ("gt.txt", "00000.ppm;774;411;815;446;11\n00001.ppm;983;388;1024;432;40\n"),
    ],
}
SAMPLES = [(begin, name, text) for begin, samples in MARKED.items() for name, text in samples]


def refusal(folder: Path) -> str:
    with pytest.raises(InputError) as refused:
        read_dataset(folder)
    return str(refused.value).replace(str(folder), "ROOT")


@pytest.mark.parametrize(("case", "word"), REFUSED.items())
def test_a_case_is_refused_by_its_name(tmp_path: Path, case: str, word: str) -> None:
    said = reading.doctor(reading.copied(case, tmp_path))
    assert said.code == 2
    assert word in said.lines
    assert "expected a format that is read" in said.lines
    assert "Label Studio" not in said.lines


@pytest.mark.parametrize(("case", "boxes"), READ.items())
def test_a_case_is_read(tmp_path: Path, case: str, boxes: dict[str, list[tuple[str, list[float]]]]) -> None:
    assert reading.boxes(reading.copied(case, tmp_path)) == boxes


@pytest.mark.parametrize("case", READ)
def test_the_fixed_copy_of_a_case_is_clean(tmp_path: Path, case: str) -> None:
    folder = reading.copied(case, tmp_path)
    reading.doctor(folder, fixed=tmp_path / "fixed")
    said = reading.doctor(tmp_path / "fixed")
    assert (said.code, set(said.codes)) == (0, {"few-objects"}), "which no program can mend"
    assert reading.boxes(tmp_path / "fixed") == READ[case]


@pytest.mark.parametrize(("begin", "name", "text"), SAMPLES, ids=[f"{one[0]}-{n}" for n, one in enumerate(SAMPLES)])
def test_each_format_is_called_by_its_own_name(tmp_path: Path, begin: str, name: str, text: str) -> None:
    folders.picture(tmp_path / "pictures" / "a.jpg")
    folders.write(tmp_path / name, text)
    said = refusal(tmp_path)
    assert len(said.splitlines()) == 1
    assert re.match(rf"ROOT: {re.escape(name)}: expected a format that is read \(coco, .*\), got {begin}", said), said
    listing = Listing.of(tmp_path)
    assert not any(one.find(listing).files for one in ANNOTATION_FORMATS.values()), "no reader claims it"


def test_the_mark_is_found_in_utf16(tmp_path: Path) -> None:
    folders.picture(tmp_path / "a.jpg")
    (tmp_path / "boxes.json").write_text(json.dumps({"a.jpg12": {"regions": [REGION]}}), encoding="utf-16")
    assert "boxes.json: expected a format that is read" in refusal(tmp_path) and "got VIA" in refusal(tmp_path)


@pytest.mark.parametrize("begin", ["KITTI", "DOTA"])
def test_what_lies_where_yolo_has_its_labels_is_called_by_its_own_name(tmp_path: Path, begin: str) -> None:
    folders.picture(tmp_path / "images" / "a.jpg")
    folders.write(tmp_path / "labels" / "a.txt", MARKED[begin][-1][1])
    assert f"got {begin}" in refusal(tmp_path)


def test_every_format_of_the_list_has_a_sample_and_an_advice() -> None:
    begins = [next((begin for begin in MARKED if one.name.startswith(begin)), "") for one in UNREAD_FORMATS]
    assert begins == sorted(begins, key=begins.index) and len(set(begins)) == len(MARKED) == len(UNREAD_FORMATS)
    assert all(one.advice.endswith(".") for one in UNREAD_FORMATS)


@pytest.mark.parametrize(("begin", "name", "text"), SAMPLES[::3], ids=[one[0] for one in SAMPLES[::3]])
def test_what_is_read_is_read_beside_it(tmp_path: Path, begin: str, name: str, text: str) -> None:
    folders.picture(tmp_path / "images" / "a.jpg")
    folders.write(tmp_path / name, text)
    folders.voc_xml(tmp_path / "Annotations" / "a.xml", [("cat", 1, 2, 30, 40)])
    assert reading.boxes(tmp_path) == {"a.jpg": [("cat", [1, 2, 29, 38])]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train.txt", "images/a.jpg\nimages/b.jpg\n"),  # a list of a split
        ("notes.txt", "Pictures of 12 cats 1 2 3 4 of us\n"),
        ("package.json", '{"name": "site", "label": "x", "version": "1"}'),
        ("a.csv", "name,age\nTom,3\n"),
        ("a.xml", "<rss><channel/></rss>"),
        ("requirements.txt", "numpy==1.2\n"),
    ],
)
def test_another_file_is_called_nothing(tmp_path: Path, name: str, text: str) -> None:
    folders.picture(tmp_path / "pictures" / "a.jpg")
    folders.write(tmp_path / name, text)
    assert refusal(tmp_path).startswith("ROOT: expected annotations, found 1 ")


def test_the_mark_is_found_among_many_files_and_few_are_opened(tmp_path: Path) -> None:
    folders.picture(tmp_path / "a.jpg")
    for number in range(100):
        folders.write(tmp_path / "first" / f"{number}.json", "{}")
    folders.write(tmp_path / "second" / "1.json", json.dumps({"a": {"regions": [REGION]}}))
    assert "second/1.json: expected a format that is read" in refusal(tmp_path)
    shutil.copy(tmp_path / "second" / "1.json", tmp_path / "first" / "99.json")
    shutil.rmtree(tmp_path / "second")
    assert refusal(tmp_path).startswith("ROOT: expected annotations, found "), "the hundredth of a folder is not opened"
