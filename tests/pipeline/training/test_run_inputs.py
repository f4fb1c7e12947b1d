"""What workers read travels through the store by content; a node that lacks a key is named with the variable."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cluster.store import FILES, Store
from pipeline.config.digests import text_sha256
from pipeline.training.loop_config import TrainLoopConfig
from pipeline.training.run_inputs import in_store, on_this_node
from pipeline.training.run_record import RunRecord
from pipeline.training.work import work
from tests.servers import S3, s3_server
from tests.waiting import until
from yolox_core.errors import InputError

IMAGES = {"a.jpg": "0" * 64}


def config(project: Path, initial: str | None = None) -> TrainLoopConfig:
    """A run whose files lie in a project."""
    project.mkdir()
    for name in ("train", "val"):
        (project / f"{name}.json").write_text(name)
    (project / "manifest.json").write_text(json.dumps({"files": IMAGES}))
    places = {name: str(project / f"{file}.json") for name, file in (("training", "train"), ("validation", "val"))}
    return TrainLoopConfig(
        recipe={},
        spec={},
        images="s3://bucket/objects",
        digests=str(project / "manifest.json"),
        initial=initial,
        run=str(project / "runs" / "mine-1"),
        threads=1,
        loader_workers=0,
        report_queue="",
        cache=str(project.parent / "node"),
        **places,
    )


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_node_gets_all_by_content_and_nothing_twice(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.json").write_text("{}")
    (model / "model.safetensors").write_text("weights")
    given = config(tmp_path / "project", str(model))
    store = Store(f"file://{tmp_path / 'store'}")
    sent = in_store(given, store, {"a.jpg": "f" * 32}, {})
    there = tmp_path / "store" / FILES
    times = {path: path.stat().st_mtime_ns for path in there.iterdir()}
    assert all(text_sha256(path.read_text()) == path.name for path in times)
    assert in_store(given, store, {"a.jpg": "f" * 32}, {}) == sent
    assert {path: path.stat().st_mtime_ns for path in there.iterdir()} == times

    (tmp_path / "project").rename(tmp_path / "gone")
    here = on_this_node(sent)
    assert Path(here.training).read_text() == "train" and Path(here.validation).read_text() == "val"
    assert json.loads(Path(here.digests).read_text()) == {
        "files": IMAGES,
        "objects": {"a.jpg": "f" * 32},
        "options": {},
    }
    assert here.initial and names(Path(here.initial)) == ["model.json", "model.safetensors"]
    assert Path(here.run) == tmp_path / "node" / "runs" / "mine-1" and on_this_node(here) is here


def test_another_file_under_that_name_is_refused(tmp_path: Path) -> None:
    sent = in_store(config(tmp_path / "project"), Store(f"file://{tmp_path / 'store'}"), {}, {})
    (tmp_path / "store" / FILES / sent.files["training.json"]).write_text("another")
    with pytest.raises(InputError, match=rf"{sent.files['training.json']}: expected a file of this sha256, got"):
        on_this_node(sent)


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3]:
    import s3fs

    (tmp_path / "s3").mkdir()
    with s3_server(tmp_path / "s3") as server:
        server.client().create_bucket(Bucket="bucket")
        for name, value in {**server.environment, "AWS_MAX_ATTEMPTS": "1"}.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        yield server
        s3fs.S3FileSystem.clear_instance_cache()


def test_a_node_without_a_key_names_itself_and_the_variable(
    keys: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    sent = in_store(config(tmp_path / "project"), Store("s3://bucket/yolox"), {}, {})
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    s3fs.S3FileSystem.clear_instance_cache()
    words = rf"YOLOX_STORE=s3://bucket/yolox at {keys.url}, on {socket.gethostname()}: cannot be read .*Set AWS_ACCESS"
    with pytest.raises(InputError, match=words):
        on_this_node(sent)


def test_an_order_for_another_python_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(
        {
            "config": {**vars(config(tmp_path / "project")), "runs": None},
            **{"experiment": "", "params": {}, "tags": {}, "started_from": None, "python": "3.5"},
        }
    )
    digest = text_sha256(text)
    Store(f"file://{tmp_path / 'store'}").write(f"{FILES}/{digest}", text.encode())
    monkeypatch.setenv("YOLOX_STORE", f"file://{tmp_path / 'store'}")
    monkeypatch.setenv("YOLOX_GPU", "0")
    with pytest.raises(InputError, match=rf"{socket.gethostname()}: expected Python 3\.5, as where the run was subm"):
        work(digest, lambda stage: None, lambda config, note: None)


def test_a_drivers_records_outlive_its_machine(tmp_path: Path) -> None:
    store = Store(f"file://{tmp_path / 'store'}")
    here = tmp_path / "here"
    here.mkdir()
    with RunRecord(store, "mine-1", here) as record:
        (here / "history.jsonl").write_text("1\n")
        record.note()
        until(lambda: store.exists("runs/mine-1/history.jsonl"), 30)
        (here / "history.jsonl").write_text("1\n2\n")
        (here / "lock").touch()
    assert store.names("runs/mine-1") == {"history.jsonl"}
    RunRecord(store, "mine-1", tmp_path / "there").fetch()
    assert (tmp_path / "there" / "history.jsonl").read_text() == "1\n2\n"
