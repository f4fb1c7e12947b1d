"""`yolox promote` and `yolox rollback` on small detectors that were really trained, in a real store."""

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from pipeline.registry.evidence import Evidence, HeldOut, onto
from pipeline.registry.model_reference import origin, weights_digest
from pipeline.registry.promotion import BEFORE
from pipeline.registry.store import connect, tracking_uri
from tests.pipeline.cli.commands_project import Yolox
from tests.pipeline.registry.versions_project import NAME, Models, Versions, artifact, scenes
from yolox_core.data.records import Category, DatasetRecords
from yolox_core.errors import InputError


def evidence_file(version: str, name: str) -> Path:
    """A file of a version's evidence in the store."""
    digest = connect(tracking_uri()).get_model_version(NAME, version).tags["model.sha256"]
    return artifact(f"evidence/{digest[:12]}/{name}")


def test_a_worse_one_is_refused_with_its_interval(yolox: Yolox, versions: Versions, models: Models) -> None:
    assert (versions.register(models.good), versions.register(models.early)) == ("1", "2")
    before = versions.tags("2")
    ended = yolox("promote", "challenger")
    ended.refused(f"models:/{NAME}/2", "better than that of champion version 1", "95% interval -", "Nothing was moved")
    assert "red" in ended.out and "blue" in ended.out and f"{versions.test_images()} test images" in ended.out
    assert versions.champion() == "1" and versions.tags("2") == before
    yolox("promote", "2", "--if-cheaper").refused("fewer GFLOPs and a map at most 0.01 worse")
    yolox("rollback").refused("before version 1, got none", "nothing to go back to")
    assert versions.champion() == "1"


def test_one_that_may_be_better_or_worse_is_refused(yolox: Yolox, versions: Versions, models: Models) -> None:
    versions.register(models.good)
    versions.register(models.near)
    ended = yolox("promote", "2")
    ended.refused("better than that of champion version 1", "Nothing was moved")
    interval = re.search(r"95% interval (\S+) to ([-+.\d]+)", ended.line)
    assert interval and float(interval[1]) < 0 < float(interval[2]), ended.line
    assert versions.champion() == "1"


def test_a_better_one_is_taken_and_rolled_back(yolox: Yolox, versions: Versions, models: Models) -> None:
    versions.register(models.early)
    versions.register(models.good)
    ended = yolox("promote", "2")
    assert ended.code == 0 and "version 2 is champion now (after version 1; rule: better)" in ended.out
    assert versions.champion() == "2"
    tags = {name: value for name, value in versions.tags("2").items() if name.startswith("promotion.")}
    low, high = map(float, tags["promotion.interval"].split())
    assert 0 < low < float(tags["promotion.difference"]) < high
    assert tags["promotion.map"] == versions.tags("2")["test/map"]
    assert tags["promotion.over_map"] == versions.tags("1")["test/map"]
    assert tags["promotion.over"] == "1" and tags["promotion.images"] == str(versions.test_images())
    assert tags["promotion.test_digest"] == versions.tags("1")["test.digest"]

    ended = yolox("promote", "champion")
    assert ended.code == 0 and "version 2 is champion already" in ended.out
    for _ in range(2):  # again and again
        ended = yolox("rollback")
        assert ended.code == 0 and "version 1 is champion again, version 2 no longer" in ended.out
        assert versions.champion() == "1"
        yolox("rollback").refused("nothing to go back to")
        assert yolox("promote", "2").code == 0 and versions.champion() == "2"


def test_going_back_passes_over_what_a_cut_move_left(yolox: Yolox, versions: Versions, models: Models) -> None:
    """A promotion that ended between its two writes has remembered a champion that still is one."""
    versions.register(models.early)
    versions.register(models.good)
    connect(tracking_uri()).set_registered_model_tag(NAME, BEFORE, "1")
    yolox("rollback").refused("nothing to go back to")
    assert yolox("promote", "2").code == 0
    assert connect(tracking_uri()).get_registered_model(NAME).tags[BEFORE] == "1"


def test_an_equal_one_is_refused(yolox: Yolox, versions: Versions, models: Models) -> None:
    versions.register(models.good)
    versions.register(models.twin)
    assert versions.tags("1")["model.sha256"] != versions.tags("2")["model.sha256"]
    yolox("promote", "2").refused("difference of +0.0000 (95% interval +0.0000 to +0.0000)")
    yolox("promote", "2", "--if-cheaper").refused("difference of +0.0000")  # as dear as the champion
    assert versions.champion() == "1"


def test_a_cheaper_one_is_taken_where_that_is_asked_for(yolox: Yolox, versions: Versions, models: Models) -> None:
    versions.register(models.good)
    versions.register(models.twin)
    gflops = float(versions.tags("1")["cost/gflops"])
    assert 0 < gflops == float(versions.tags("2")["cost/gflops"])
    # two networks that find the same at different cost are not to be had by training: the champion's cost is written up
    connect(tracking_uri()).set_model_version_tag(NAME, "1", "cost/gflops", str(2 * gflops))
    yolox("promote", "2").refused("Nothing was moved")
    ended = yolox("promote", "2", "--if-cheaper")
    assert ended.code == 0 and "rule: cheaper" in ended.out
    tags = versions.tags("2")
    assert versions.champion() == "2" and tags["promotion.rule"] == "cheaper"
    assert float(tags["promotion.over_gflops"]) == pytest.approx(2 * float(tags["promotion.gflops"]), rel=1e-4)


def test_other_images_are_refused_by_their_digests(yolox: Yolox, versions: Versions, models: Models) -> None:
    versions.register(models.early)
    versions.data(range(100, 160))
    versions.register(models.good)
    digests = [versions.tags(version)["test.digest"] for version in ("1", "2")]
    assert digests[0] != digests[1]
    yolox("promote", "2").refused(*digests, "the same images")
    assert versions.champion() == "1"


def test_grown_data_are_compared_on_the_images_of_the_champion(
    yolox: Yolox, versions: Versions, models: Models
) -> None:
    versions.register(models.early)
    images = versions.test_images()
    versions.data(range(90))
    assert versions.test_images() > images
    versions.register(models.good)
    assert yolox("promote", "2").code == 0
    tags = versions.tags("2")
    assert tags["promotion.images"] == str(images)
    assert tags["promotion.test_digest"] == versions.tags("1")["test.digest"] != tags["test.digest"]
    # the other way round the champion's images are not all there
    yolox("promote", "1").refused("Only versions measured on the same images")


def test_evidence_that_was_changed_or_lost_is_refused(yolox: Yolox, versions: Versions, models: Models) -> None:
    versions.register(models.early)
    versions.register(models.good)
    detections = evidence_file("1", "detections.json")
    kept = detections.read_text(encoding="utf-8")
    detections.write_text(kept.replace('"score": 0.', '"score": 0.0'), encoding="utf-8")
    yolox("promote", "2").refused(f"models:/{NAME}/1", "is not what was registered")
    detections.write_text(kept, encoding="utf-8")
    shutil.move(detections.parent, detections.parent.with_name("away"))
    yolox("promote", "2").refused(f"models:/{NAME}/1", "cannot be read")
    shutil.move(detections.parent.with_name("away"), detections.parent)
    client = connect(tracking_uri())
    client.set_model_version_tag(NAME, "1", "test/map", "0.9")
    yolox("promote", "2").refused("test/map 0.9, got")
    client.delete_model_version_tag(NAME, "1", "evidence.sha256")
    yolox("promote", "2").refused("registered without its test images")
    assert versions.champion() == "1"


def test_a_model_that_cannot_be_fetched_serves_nobody(yolox: Yolox, versions: Versions, models: Models) -> None:
    versions.register(models.early)
    weights = artifact("artifacts/*/model.safetensors")
    versions.register(models.good)
    assert yolox("promote", "2").code == 0
    weights.write_bytes(b"other")
    yolox("rollback").refused(f"models:/{NAME}/1", "is not what was registered")
    yolox("promote", "1").refused(f"models:/{NAME}/1", "is not what was registered")
    assert versions.champion() == "2"


def test_the_first_needs_no_evidence(yolox: Yolox, versions: Versions, models: Models) -> None:
    versions.register(models.early)
    connect(tracking_uri()).delete_registered_model_alias(NAME, "champion")
    yolox("rollback").refused("has no alias 'champion'")
    ended = yolox("promote", "1", "--name", NAME)
    assert ended.code == 0 and "there was none; rule: first" in ended.out
    assert versions.champion() == "1" and versions.tags("1")["promotion.rule"] == "first"
    yolox("promote", "7").refused("no such version. Known: 1.")
    yolox("promote", "1", "--name", "other").refused("no registered model 'other'")
    yolox("rollback", "--name", "other").refused("no registered model 'other'")


def test_without_a_store_none_is_made(yolox: Yolox) -> None:
    for words in (("promote", "1"), ("rollback",), ("lineage", "1")):
        yolox(*words, "--name", NAME).refused("no MLflow store")
    assert not list(Path().iterdir())


def test_a_moved_alias_is_noticed_before_training(versions: Versions, models: Models) -> None:
    versions.register(models.early)
    reference = f"models:/{NAME}@champion"
    seen = weights_digest(reference)
    assert origin(reference, seen) == {"reference": reference, "digest": seen, "version": f"{NAME}/1"}
    versions.register(models.good)
    connect(tracking_uri()).set_registered_model_alias(NAME, "champion", "2")
    with pytest.raises(InputError, match=r"got version 2: the alias has moved since"):
        origin(reference, seen)


def test_detections_follow_content_and_class_names(tmp_path: Path) -> None:
    """On grown data the same image has another id, another name, and its class another id."""
    old = scenes(tmp_path, range(2))
    swapped = DatasetRecords(tmp_path, (Category(5, "green"), Category(9, "red"), Category(7, "blue")), [])
    images = [
        dataclasses.replace(
            image,
            image_id=50 + at,
            file_name=f"new{at}.png",
            objects=image.objects.labelled(image.objects.labels_G + 1),
        )
        for at, image in enumerate(reversed(old.images))
    ]
    new = dataclasses.replace(swapped, images=images)
    held_old = HeldOut(old, {"0.png": "a", "1.png": "b"})
    held_new = HeldOut(new, {"new0.png": "b", "new1.png": "a"})
    assert held_old.digest == held_new.digest
    found = [
        {"image_id": 50, "category_id": 9, "category_name": "red", "score": 0.5},
        {"image_id": 51, "category_id": 5, "category_name": "green", "score": 0.4},
    ]
    mapped = onto(Evidence(held_new, found), held_old)
    assert mapped == [{"image_id": 1, "category_id": 1, "category_name": "red", "score": 0.5}]
    other = HeldOut(old, {"0.png": "a", "1.png": "c"})
    assert other.digest != held_old.digest and onto(Evidence(held_new, found), other) is None
