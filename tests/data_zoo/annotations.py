"""Damaged and odd annotations, ids, names and splits."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask

from tests.data_zoo.zoo import SIZE, Coco, coco, encoded, kind, picture
from tests.pipeline.data import folders


@coco("box-inverted")
def negative_width(made: Coco) -> None:
    made.box(1, [40, 10, -20, 10])


@coco("box-without-area")
def no_width(made: Coco) -> None:
    made.box(1, [40, 10, 0, 10])


@coco("box-outside")
def beside_the_image(made: Coco) -> None:
    made.box(1, [400, 10, 20, 10])


@coco("box-not-numbers")
def not_a_number(made: Coco) -> None:
    made.box(1, [float("nan"), 10, 20, 10])


@coco("box-not-numbers")
def a_text_for_a_number(made: Coco) -> None:
    made.box(1, ["ten", 10, 20, 10])


@coco("box-not-numbers")
def three_numbers(made: Coco) -> None:
    made.box(1, [10, 20, 10])


@coco("box-clipped")
def partly_outside(made: Coco) -> None:
    made.box(1, [100, 10, 60, 20])


@coco("box-duplicate")
def the_same_box_twice(made: Coco) -> None:
    made.box(1, [10, 12, 40, 30])


@coco("box-twice-named")
def the_same_box_of_two_classes(made: Coco) -> None:
    made.box(1, [10, 12, 40, 30], 2)


@coco("box-covers-all")
def the_whole_image(made: Coco) -> None:
    made.box(1, [0, 0, 128, 96])


@coco("box-tiny")
def one_pixel(made: Coco) -> None:
    made.box(1, [5, 5, 1, 1])


@coco("box-from-outline")
def polygon_without_a_box(made: Coco) -> None:
    made.box(1, None, segmentation=[[5, 5, 25, 5, 25, 30]])


@coco("box-from-outline")
def runs_without_a_box(made: Coco) -> None:
    pixels = np.zeros(SIZE, np.uint8, order="F")
    pixels[10:30, 5:45] = 1
    runs = mask.encode(pixels)
    made.box(1, None, segmentation={"size": list(SIZE), "counts": runs["counts"].decode("ascii")})


@coco("crowd")
def a_crowd(made: Coco) -> None:
    made.box(1, [70, 2, 50, 30], iscrowd=1)


@coco("duplicate-image-id")
def one_id_for_two_images(made: Coco) -> None:
    made.images.append({**made.images[0], "file_name": "2.jpg"})


@coco("unknown-image")
def a_box_of_no_image(made: Coco) -> None:
    made.box(99, [10, 10, 20, 20])


@coco("unknown-class")
def a_box_of_no_class(made: Coco) -> None:
    made.box(1, [10, 10, 20, 20], 99)


@coco("category-id-gaps")
def ids_with_gaps(made: Coco) -> None:
    made.categories[1]["id"] = 90
    for entry in made.annotations:
        entry["category_id"] = {1: 1, 2: 90}[entry["category_id"]]


@coco("unreadable-annotation")
def an_annotation_that_is_a_text(made: Coco) -> None:
    made.annotations.append("a box, somewhere")


@coco("class-names-alike")
def names_that_differ_in_case(made: Coco) -> None:
    made.categories.append({"id": 3, "name": "Cat "})
    made.box(1, [80, 5, 20, 20], 3)


@coco("class-unused")
def a_class_of_nothing(made: Coco) -> None:
    made.categories.append({"id": 3, "name": "unicorn"})


@coco("class-not-in-split")
def a_class_that_is_only_trained_on(made: Coco) -> None:
    made.annotations = [entry for entry in made.annotations if (entry["image_id"], entry["category_id"]) != (4, 2)]
    made.write_split(4)


@coco("few-objects")
def few_objects(made: Coco) -> None:
    assert len(made.annotations) < 20


@coco("imbalance")
def one_class_a_hundredfold(made: Coco) -> None:
    made.annotations = [entry for entry in made.annotations if entry["category_id"] == 1]
    made.box(1, [60, 40, 30, 36], 2)
    for number in range(100):
        made.box(1 + number % 4, [1 + number // 4, 2, 5, 5 + number // 4], 1)


@coco("too-crowded")
def more_objects_in_a_place_than_points(made: Coco) -> None:
    for number in range(30):
        made.box(1, [50 - number / 100, 50, 3 + number / 50, 3])


@coco("too-small-for-input")
def smaller_than_any_stride_sees(made: Coco) -> None:
    large = (960, 1280)
    made.add("large.jpg", encoded(picture(8, large), ".jpg"), large)
    for number in range(5):
        made.box(5, [100 + 9 * number, 100, 4, 4])


def voc_set(root: Path) -> dict[str, list[Any]]:
    boxes: dict[str, list[Any]] = {name: [("cat", 10, 12, 40, 30), ("dog", 50, 20, 70, 50)] for name in "abcd"}
    folders.voc(root, boxes)
    return boxes


@kind("duplicate-annotation")
def two_xml_files_of_one_image(root: Path) -> None:
    boxes = voc_set(root)
    folders.voc_xml(root / "Annotations" / "again.xml", boxes["a"], filename="a.jpg")


@kind("missing-image")
def xml_without_an_image(root: Path) -> None:
    boxes = voc_set(root)
    folders.voc_xml(root / "Annotations" / "lost.xml", boxes["a"])


@kind("image-doubtful")
def xml_that_names_another_image_than_it_is_called(root: Path) -> None:
    boxes = voc_set(root)
    folders.picture(root / "JPEGImages" / "extra.jpg", 9)
    folders.voc_xml(root / "Annotations" / "a.xml", boxes["a"], filename="extra.jpg")


@kind("image-without-annotation")
def image_without_an_xml(root: Path) -> None:
    voc_set(root)
    folders.picture(root / "JPEGImages" / "extra.jpg", 9)


@kind("unreadable-annotation")
def xml_cut_short(root: Path) -> None:
    voc_set(root)
    path = root / "Annotations" / "a.xml"
    path.write_text(path.read_text()[:60])


@kind("unreadable-annotation")
def xml_with_entities(root: Path) -> None:
    voc_set(root)
    declared = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;">]>'
    folders.write(root / "Annotations" / "a.xml", f"{declared}<annotation><filename>&c;</filename></annotation>")


@kind("box-not-numbers")
def voc_box_of_words(root: Path) -> None:
    voc_set(root)
    folders.voc_xml(root / "Annotations" / "a.xml", [("cat", "left", 12, 40, 30), ("dog", 50, 20, 70, 50)])


@kind("split-conflict")
def image_in_two_lists(root: Path) -> None:
    voc_set(root)
    folders.write(root / "ImageSets" / "Main" / "train.txt", "a\nb\nc\n")
    folders.write(root / "ImageSets" / "Main" / "test.txt", "c\nd\n")


@kind("unknown-name-in-list")
def list_of_what_is_not_there(root: Path) -> None:
    voc_set(root)
    folders.write(root / "ImageSets" / "Main" / "train.txt", "a\nb\nghost\n")
    folders.write(root / "ImageSets" / "Main" / "test.txt", "c\nd\n")


def yolo_set(root: Path) -> None:
    for seed, name in enumerate("abcd"):
        folders.picture(root / "images" / f"{name}.jpg", seed)
        folders.write(root / "labels" / f"{name}.txt", "0 0.3 0.3 0.2 0.2\n1 0.7 0.6 0.2 0.4\n")
    folders.write(root / "data.yaml", "names: [cat, dog]\n")


@kind("image-without-labels")
def image_without_a_label_file(root: Path) -> None:
    yolo_set(root)
    folders.picture(root / "images" / "extra.jpg", 9)


@kind("pictures-aside")
def plots_and_masks_beside_the_images(root: Path) -> None:
    yolo_set(root)
    folders.picture(root / "runs" / "train" / "results.png", 8)
    folders.picture(root / "masks" / "a.png", 9)


@kind("labels-of-results")
def predictions_beside_the_images(root: Path) -> None:
    yolo_set(root)
    folders.picture(root / "runs" / "detect" / "predict" / "a.png", 9)
    folders.write(root / "runs" / "detect" / "predict" / "labels" / "a.txt", "0 0.3 0.3 0.2 0.2\n")


@kind("folder-without-labels")
def folder_without_one_label(root: Path) -> None:
    yolo_set(root)
    for seed, name in enumerate("ef", 8):
        folders.picture(root / "images" / "night" / f"{name}.jpg", seed)


@kind("missing-image")
def labels_of_a_picture_that_is_not_read(root: Path) -> None:
    yolo_set(root)
    folders.write(root / "images" / "phone.heic", "pixels")
    folders.write(root / "labels" / "phone.txt", "0 0.5 0.5 0.2 0.2\n")


@kind("missing-image")
def labels_without_an_image(root: Path) -> None:
    yolo_set(root)
    folders.write(root / "labels" / "lost.txt", "0 0.5 0.5 0.2 0.2\n")


@kind("unknown-class")
def class_index_beyond_the_names(root: Path) -> None:
    yolo_set(root)
    folders.write(root / "labels" / "a.txt", "7 0.3 0.3 0.2 0.2\n0 0.5 0.5 0.2 0.2\n")


@kind("no-class-names")
def labels_without_names(root: Path) -> None:
    yolo_set(root)
    (root / "data.yaml").unlink()


@kind("box-not-numbers")
def label_line_of_four_words(root: Path) -> None:
    yolo_set(root)
    folders.write(root / "labels" / "a.txt", "0 0.3 0.3 0.2\n0 0.5 0.5 0.2 0.2\n")


@kind("box-outside")
def yolo_box_in_pixels(root: Path) -> None:
    yolo_set(root)
    folders.write(root / "labels" / "a.txt", "0 40 30 20 20\n0 0.5 0.5 0.2 0.2\n")


@kind("no-class-names")
def imagefolder_of_numbers_alone(root: Path) -> None:
    imagefolder(root, [[1, [10, 10, 30, 30]], [2, [40, 20, 30, 30]]])


@kind("unknown-class")
def imagefolder_of_a_class_below_zero(root: Path) -> None:
    imagefolder(root, [["cat", [10, 10, 30, 30]], [-1, [0, 0, 9, 9]]])


@kind("box-not-numbers")
def a_column_of_boxes_with_three_numbers(root: Path) -> None:
    folders.picture(root / "a.jpg", 1)
    folders.write(root / "a.csv", 'image,bbox,label\na.jpg,"[10, 10, 30, 30]",cat\na.jpg,"[10, 10, 30]",cat\n')


@kind("unreadable-annotation")
def a_table_that_may_be_of_corners_or_sizes(root: Path) -> None:
    folders.picture(root / "a.jpg", 1)
    folders.write(root / "a.csv", "a.jpg,cat,10,20,30,40\n")
    folders.write(root / "b.csv", "image,class,x,y,width,height\na.jpg,cat,10,20,30,30\n")


def imagefolder(root: Path, objects: list[list[Any]]) -> None:
    """Hugging Face's layout: one image with (class, [x, y, width, height])."""
    folders.picture(root / "a.jpg", 1)
    fields = {"categories": [name for name, _ in objects], "bbox": [box for _, box in objects]}
    folders.write(root / "metadata.jsonl", json.dumps({"file_name": "a.jpg", "objects": fields}))


@kind("unreadable-annotation")
def xml_in_no_unicode(root: Path) -> None:
    boxes = voc_set(root)
    path = root / "Annotations" / "a.xml"
    folders.voc_xml(path, [("Käfer", *box[1:]) for box in boxes["a"]])
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))


@kind("same-in-two-files")
def one_table_of_all_and_one_of_a_split(root: Path) -> None:
    rows = [f"{name}.jpg,cat,10,12,40,30\n" for name in "abcd"]
    for seed, name in enumerate("abcd"):
        folders.picture(root / f"{name}.jpg", seed)
    header = "filename,class,xmin,ymin,xmax,ymax\n"
    folders.write(root / "all_labels.csv", header + "".join(rows))
    folders.write(root / "train_labels.csv", header + "".join(rows[:2]))


@kind("box-outside")
def nearly_all_boxes_in_pixels(root: Path) -> None:
    yolo_set(root)
    for name in "abc":
        folders.write(root / "labels" / f"{name}.txt", "".join(f"0 {20 + at} 30 20 20\n" for at in range(8)))


@kind("crowd")
def a_region_to_ignore(root: Path) -> None:
    boxes = voc_set(root)
    folders.voc_xml(root / "Annotations" / "a.xml", [*boxes["a"], ("__ignore__", 2, 2, 70, 11)])


@kind("label-lines-unclear")
def pose_lines_without_a_kpt_shape(root: Path) -> None:
    yolo_set(root)
    for name in "abcd":
        folders.write(root / "labels" / f"{name}.txt", "0 0.5 0.5 0.4 0.4 0.4 0.4 0.6 0.6\n")


@kind("boxes-with-confidence")
def detections_for_labels(root: Path) -> None:
    yolo_set(root)
    for name in "abcd":
        folders.write(root / "labels" / f"{name}.txt", "0 0.3 0.3 0.2 0.2 0.91\n1 0.7 0.6 0.2 0.4 0.5\n")


@kind("split-names-nothing")
def data_yaml_names_no_folder(root: Path) -> None:
    yolo_set(root)
    folders.write(root / "data.yaml", "names: [cat, dog]\ntrain: images\nval: ../valid/images\n")


@kind("split-path-elsewhere")
def data_yaml_of_another_machine(root: Path) -> None:
    yolo_set(root)
    folders.write(root / "data.yaml", "names: [cat, dog]\ntrain: /content/pets/images\n")


@coco("category-ids-differ")
def files_that_number_classes_apart(made: Coco) -> None:
    made.write_split(4)
    path = made.root / "instances_test.json"
    text = json.dumps(
        json.loads(path.read_text()) | {"categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]}
    )
    path.write_text(text)


@kind("class-names-differ")
def two_lists_of_names(root: Path) -> None:
    yolo_set(root)
    (root / "data.yaml").unlink()
    folders.write(root / "classes.txt", "cat\ndog\n")
    folders.write(root / "labels" / "classes.txt", "dog\ncat\n")
