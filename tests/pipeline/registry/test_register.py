"""Registering: one version for one set of weights, aliases by rule, a model that predicts, and clear refusals."""

import dataclasses
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.digests import file_sha256
from pipeline.registry.evidence import Evidence, HeldOut
from pipeline.registry.register import CHALLENGER, CHAMPION, DataSource, Release, register, resolve
from pipeline.registry.resolve import versions
from pipeline.registry.run_log import RunSpec
from pipeline.registry.store import connect, shown, tracking_uri, unreachable
from yolox_core.config import DetectorSpec, ModelConfig
from yolox_core.data.records import Category, DatasetRecords
from yolox_core.errors import InputError
from yolox_core.model.weights import release as write_release
from yolox_core.model.yolox import build_model

Write = Callable[[Path, int], list[dict[str, Any]]]


def released(folder: Path, seed: int) -> Path:
    """A tiny model with random weights, as export leaves one."""
    config = ModelConfig(num_classes=2, width=0.125, depth=0.33)
    spec = DetectorSpec(config, ("cat", "dog"), (1, 7), (64, 64), confidence=0.001)
    write_release(folder, build_model(config, seed=seed), spec)
    (folder / "model.onnx").write_bytes(b"stands for the graph")
    return folder


def a_release(project: Path, seed: int, **changes: Any) -> Release:
    run_dir = project / "runs" / f"run-{seed}"
    (project / "params.yaml").write_text("seed: 0\n", encoding="utf-8")
    made = Release(
        folder=released(project / f"released-{seed}", seed),
        name="yolox-detector",
        run=RunSpec(run_dir, "yolox-detector", run_dir.name, {"seed": seed}, {"data.digest": "d" * 32}),
        test_metrics={"map": 0.5, "map_50": 0.75, "class/cat/map": 0.25},
        evidence=Evidence(HeldOut(DatasetRecords(Path(), (Category(1, "cat"), Category(7, "dog")), []), {}), []),
        cost={"parameters": 1234.0, "gflops": 0.5},
        data=DataSource("detector", "synthetic", "d" * 64),
        tags={"git.commit": "0" * 40},
        files=(project / "params.yaml", project / "dvc.lock"),
    )
    return dataclasses.replace(made, **changes)


def test_registering_twice_makes_one_version_with_the_newest_figures(project: Path, write_history: Write) -> None:
    release = a_release(project, seed=1)
    write_history(release.run.run_dir, 3)
    first = register(release)
    second = register(dataclasses.replace(release, test_metrics={"map": 0.625}))

    client = connect(tracking_uri())
    (version,) = versions(client, "yolox-detector")
    assert first == second
    assert (first.version, first.alias, first.tracking_uri) == ("1", CHAMPION, "sqlite:///mlflow.db")
    assert version.tags["test/map"] == "0.625"
    assert version.tags["model.sha256"] == first.weights_sha256 == file_sha256(release.folder / "model.safetensors")
    assert version.tags["git.commit"] == "0" * 40
    assert version.tags["cost/gflops"] == "0.5" and version.tags["cost/parameters"] == "1234"

    run = client.get_run(first.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/class/cat/map"] == 0.25 and run.data.metrics["test/map"] == 0.625
    assert [metric.step for metric in client.get_metric_history(first.run_id, "loss")] == [0, 1, 2]
    training, test = run.inputs.dataset_inputs
    assert training.dataset.digest == "d" * 36
    assert [entry.tags[0].value for entry in (training, test)] == ["training", "test"]
    assert [file.path for file in client.list_artifacts(first.run_id)] == ["evidence", "params.yaml"]


def test_aliases_follow_the_rule(project: Path) -> None:
    one, two = a_release(project, seed=1), a_release(project, seed=2)
    assert register(one).alias == CHAMPION
    assert register(two).alias == CHALLENGER
    assert register(one).alias == CHAMPION  # again: nothing moves
    client = connect(tracking_uri())
    aliases = client.get_registered_model("yolox-detector").aliases
    assert {alias: str(version) for alias, version in aliases.items()} == {CHAMPION: "1", CHALLENGER: "2"}
    client.set_registered_model_alias("yolox-detector", CHAMPION, "2")  # a person promotes
    assert register(two).alias == CHAMPION
    assert register(one).alias == CHALLENGER

    for reference, release in (("@champion", two), ("/1", one)):
        folder = resolve(f"models:/yolox-detector{reference}")
        assert sorted(file.name for file in folder.iterdir()) == ["model.json", "model.onnx", "model.safetensors"]
        assert file_sha256(folder / "model.safetensors") == file_sha256(release.folder / "model.safetensors")


def test_the_packaged_model_carries_the_detector_and_no_pickle(project: Path) -> None:
    register(a_release(project, seed=1))
    root = resolve("models:/yolox-detector@champion").parents[1]
    files = {file.relative_to(root).as_posix() for file in root.rglob("*") if file.is_file()}
    assert any(name.endswith("/inference/predictor.py") for name in files) and "pyfunc_model.py" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".pyc", ".pt", ".pth"))]
    requirements = (root / "requirements.txt").read_text(encoding="utf-8").split()
    assert all(re.fullmatch(r"[\w-]+==[\w.]+", line) for line in requirements)


def test_a_reference_to_nothing_says_what_there_is(project: Path) -> None:
    with pytest.raises(InputError, match="registry is empty"):
        resolve("models:/yolox-detector@champion")
    register(a_release(project, seed=1))
    for reference, answer in (
        ("models:/yolox-detectr@champion", "no registered model 'yolox-detectr'. Did you mean 'yolox-detector'"),
        ("models:/yolox-detector@winner", "no alias 'winner'. Known: champion."),
        ("models:/yolox-detector/9", "no such version. Known: 1."),
        ("models:/yolox-detector/99999999999999999999999", "no such version. Known: 1."),
        ("models:/yolox-detector", "expected models:/<name>@<alias> or models:/<name>/<version>"),
    ):
        with pytest.raises(InputError) as refused:
            resolve(reference)
        assert answer in str(refused.value) and reference in str(refused.value)


def test_changed_files_are_noticed(project: Path) -> None:
    register(a_release(project, seed=1))
    (resolve("models:/yolox-detector/1") / "model.safetensors").write_bytes(b"other")
    with pytest.raises(InputError, match="not what was registered"):
        resolve("models:/yolox-detector/1")


def test_resolving_without_a_store_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no MLflow store"):
        resolve("models:/yolox-detector@champion")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:9",
        "http://nobody.invalid:5000",
        "file:///tmp/mlruns",
        "mlruns",
        "sqlite:////",
        "http://127.0.0.1:abc",
        "http://[::1",
        "postgresql://h/db",
        "postgresql://h:abc/db",
    ],
)
def test_a_store_that_is_not_there_is_refused_in_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    release = a_release(project, seed=1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    began = time.monotonic()
    with pytest.raises(InputError) as refused:
        register(release)
    assert time.monotonic() - began < 20
    assert re.match(f"{re.escape(uri)}: MLflow does not answer \\(.+\\)\\. Start it or unset", str(refused.value))
    assert "only this stage is left to do" in str(refused.value)


def test_a_release_that_was_not_exported_is_refused(project: Path) -> None:
    release = a_release(project, seed=1)
    shutil.rmtree(release.folder)
    with pytest.raises(InputError, match="Run the export stage first"):
        register(release)


def test_a_run_whose_folder_is_gone_gets_its_history_from_the_report(project: Path) -> None:
    table = project / "history.csv"
    table.write_text("epoch,loss,map\n0,3.5,\n1,2.5,0.25\n", encoding="utf-8")
    release = a_release(project, seed=1)
    found = register(dataclasses.replace(release, run=dataclasses.replace(release.run, history_csv=table)))
    history = connect(tracking_uri()).get_metric_history(found.run_id, "map")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.25)]
    assert json.loads((release.run.run_dir / "mlflow_run.json").read_text(encoding="utf-8"))["logged_epochs"] == 2


def test_a_port_that_does_not_speak_http_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        threading.Thread(target=greet, daemon=True).start()
        reason = unreachable(f"http://127.0.0.1:{server.getsockname()[1]}")
    assert reason is not None and "SSH-2.0" in reason


def test_what_is_no_address_is_shown_without_its_password() -> None:
    assert shown("http://[::1") == "http://[::1"
    assert shown("http://me:secret@[::1") == "http://***@[::1"


def test_what_mlflow_refuses_at_a_look_up_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def fails(*_: Any) -> None:
        raise MlflowException("the server\nis on fire")

    monkeypatch.setattr(MlflowClient, "get_model_version", fails)
    with pytest.raises(InputError, match=r"models:/a/1: MLflow could not look it up: the server is on fire"):
        resolve("models:/a/1")
