"""`dvc repro` end to end on a small project: what it leaves, what a second one does, and the registered model."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli import main
from pipeline.config import paths
from pipeline.data.coco.coco import read_coco
from tests.integration.conftest import NOBODY, Finished
from tests.integration.project import PARAMS
from yolox_core.config import EvaluateConfig
from yolox_core.evaluation.coco import measure
from yolox_core.evaluation.detect import detect_all
from yolox_core.inference.predictor import Predictor

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1500)]

STAGES = ("fingerprint", "ingest", "validate", "prepare", "train", "evaluate", "export", "register", "report")
FIGURES = {"map", "map_50", "map_75", "ar_1", "ar_10", "ar_100"}
SIZES = {"map_small", "map_medium", "map_large"}

# In a process that knows nothing of the project but its MLflow store: detections of every test image.
FROM_BYTES = """
import json, sys
from pathlib import Path
import mlflow, pandas
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model("models:/yolox-detector@champion")
table = pandas.DataFrame({"image": [Path(name).read_bytes() for name in sys.argv[4:]]})
found = model.predict(table, params={"confidence": float(sys.argv[2]), "nms_iou": float(sys.argv[3])})
print(json.dumps(found))
"""


def load(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def ran(printed: str) -> list[str]:
    """The stages that a `dvc repro` ran."""
    return [stage for stage in STAGES if f"Running stage '{stage}'" in printed]


def test_an_mlflow_that_is_not_there_stops_only_its_stage(finished: Finished) -> None:
    assert ran(finished.refused) == ["fingerprint", "train", "evaluate", "export", "register"]
    lines = [line for line in finished.refused.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and NOBODY in lines[0] and "only this stage is left" in lines[0]
    assert "Traceback" not in finished.refused
    assert "exited with 2" in finished.refused
    assert ran(finished.repeated) == ["fingerprint", "register", "report"]


def test_everything_is_there(finished: Finished) -> None:
    root = finished.project.root
    named = {name: value for name, value in vars(paths).items() if isinstance(value, Path)}
    del named["PACKAGE"]  # of projects on an installed package
    assert not [name for name, path in named.items() if not (root / path).exists()]
    assert (root / "dvc.lock").is_file() and (root / "mlflow.db").is_file()
    assert not [path for path in root.rglob("*.part*") if ".dvc" not in path.parts]
    released = sorted(path.name for path in (root / paths.RELEASED).iterdir())
    assert released == ["model.json", "model.onnx", "model.safetensors"]
    assert len(finished.project.history()) == PARAMS["train"]["epochs"]


def test_the_released_files_hold_no_pickle(finished: Finished) -> None:
    files = [path for path in (finished.project.root / "mlartifacts").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} & {".safetensors", ".onnx"}
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".pt", ".pth", ".bin")]
    for path in [*files, *(finished.project.root / paths.RELEASED).iterdir()]:
        start = path.read_bytes()[:2]
        assert start != b"PK" and not (start[:1] == b"\x80" and path.suffix != ".safetensors"), path


def test_the_metrics_have_their_names(finished: Finished) -> None:
    metrics = load(finished.project.root / paths.METRICS)
    classes = load(finished.project.root / paths.MANIFEST)["class_names"]
    allowed = FIGURES | SIZES | {f"class/{name}/map" for name in classes} | {"images", "boxes"}
    assert FIGURES | {"images", "boxes"} <= metrics.keys() <= allowed
    assert all(value >= 0 for value in metrics.values())


def test_the_run_in_mlflow_has_every_epoch(finished: Finished) -> None:
    """The server was away while it trained: the register stage sent what it had missed."""
    from mlflow import MlflowClient

    registration = load(finished.project.root / paths.REGISTRATION)
    client = MlflowClient(f"sqlite:///{finished.project.root / 'mlflow.db'}")
    logged = client.get_metric_history(registration["run_id"], "loss")
    assert [(entry.step, entry.value) for entry in logged] == [
        (row["epoch"], row["loss"]) for row in finished.project.history()
    ]
    assert registration["alias"] == "champion" and registration["version"] == "1"


def test_nothing_survives_the_run(finished: Finished) -> None:
    assert len(finished.family.seen) > 10
    assert not finished.family.survivors()


def test_again_runs_nothing_but_the_fingerprint(finished: Finished) -> None:
    printed = finished.project.repro()
    assert ran(printed) == ["fingerprint"]
    assert printed.count("didn't change, skipping") == len(STAGES) - 1


def test_the_registered_model_predicts_from_bytes(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = finished.project.root
    truth = read_coco(root / paths.prepared("test"), root / paths.RAW_IMAGES)
    images = [truth.image_root / image.file_name for image in truth.images]
    thresholds = PARAMS["evaluate"]["confidence"], PARAMS["evaluate"]["nms_iou"]
    store = f"sqlite:///{root / 'mlflow.db'}"
    words = [sys.executable, "-c", FROM_BYTES, store, *map(str, thresholds), *map(str, images)]
    environment = {**finished.project.environment(), "PYTHONPATH": ""}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    through_mlflow = []
    for image, found in zip(truth.images, json.loads(done.stdout.splitlines()[-1]), strict=True):
        through_mlflow += [{**entry, "file_name": image.file_name, "image_id": image.image_id} for entry in found]

    assert through_mlflow, "a comparison of nothing would prove nothing"
    released = Predictor.load(root / paths.RELEASED, runtime="onnx")
    assert through_mlflow == detect_all(released, truth, EvaluateConfig(*thresholds))
    figures = load(root / paths.METRICS)  # PyTorch's
    measured = measure(truth, through_mlflow).metrics
    assert measured == pytest.approx({name: figures[name] for name in measured}, abs=1e-3)

    monkeypatch.chdir(root)
    words = ["yolox", "predict", str(images[0]), "--model", "models:/yolox-detector@champion"]
    words += ["--runtime", "onnx", "--json"]  # what the registered model runs
    monkeypatch.setattr(sys, "argv", [*words, str(tmp_path / "found.json"), "--conf", str(thresholds[0])])
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code in (0, None)
    predicted = load(tmp_path / "found.json")
    first = [entry for entry in through_mlflow if entry["file_name"] == truth.images[0].file_name]
    assert [(entry["bbox"], entry["score"], entry["category_id"]) for entry in predicted] == [
        (entry["bbox"], entry["score"], entry["category_id"]) for entry in first
    ]


def test_an_alias_that_does_not_exist(
    finished: Finished, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(finished.project.root)
    for reference, known in (
        ("models:/yolox-detector@best", "champion"),
        ("models:/yolox-detectr/1", "yolox-detector"),
    ):
        monkeypatch.setattr(sys, "argv", ["yolox", "predict", "data/raw/images", "--model", reference])
        with pytest.raises(SystemExit) as ended:
            main.main()
        line = capsys.readouterr().err
        assert ended.value.code == 2 and line.count("\n") == 1
        assert reference in line and known in line
