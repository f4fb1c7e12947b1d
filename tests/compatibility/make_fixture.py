"""Makes project.tar.xz and expected.json with the programs of one tree of the project; nothing else takes part.

Started by make_fixture.sh, which lends the tree and the project neutral places: ONNX files, the MLflow store and its
models hold the absolute paths of both. Two trainings of some seconds each, packing, and the answers that the unpacked
project gives. Needs cv2 and numpy, which the tree's environment has.
"""

import argparse
import json
import lzma
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import unpack as unpacking
import yaml

NAME = "shapes"  # of the images' folder, and so of the model: yolox-shapes
IMAGES, HEIGHT, WIDTH = 56, 48, 64
SHOWN = 3  # images whose detections are kept in expected.json
CONFIDENCE = 0.02

FIRST: dict[str, Any] = {
    "seed": 0,
    "data": {"source": NAME, "format": "auto", "split": {"val": 0.0, "test": 0.25, "honour": True}},
    "model": {"size": "nano", "width": 1 / 64, "depth": 0.33, "depthwise": False, "weights": None},
    "augment": {"mosaic": 0.0, "mixup": 0.0, "hsv": 0.5, "flip": 0.5},
    "train": {
        "epochs": 6,
        "closing_epochs": 2,
        "warmup_epochs": 1,
        "batch_size": 2,
        "input_size": 64,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "weight_decay": 0.0005,
        "ema_decay": 0.95,
        "ema_warmup": 10,
        "threads": 1,
    },
    "export": {"formats": ["onnx"]},
}
SECOND: dict[str, Any] = {"seed": 1, "train": {"epochs": 30, "closing_epochs": 6}}

# Nothing phones home, as in the Makefile; nothing is written beside the code; no servers, no GPU.
ENVIRONMENT = {
    "DVC_NO_ANALYTICS": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "YOLOX_GPU": "0",
    "YOLOX_THREADS": "1",
    "COLUMNS": "120",
}
TEXTS = ("", ".json", ".jsonl", ".yaml", ".lock", ".md", ".csv", ".txt", ".py", ".xml")
YOLOX = "from pipeline.cli import main; main()"
UNSET = ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "PYTHONPATH", "VIRTUAL_ENV")

PREDICT = """
import json, logging, sys
import mlflow, pandas
logging.getLogger("mlflow").setLevel(logging.ERROR)
mlflow.set_tracking_uri(f"sqlite:///{sys.argv[1]}/mlflow.db")
model = mlflow.pyfunc.load_model(sys.argv[2])
images = [open(name, "rb").read() for name in sys.argv[4:]]
found = model.predict(pandas.DataFrame({"image": images}), params={"confidence": float(sys.argv[3])})
import yolox_core
print(json.dumps({"core": yolox_core.__file__, "found": found}))
"""


class Tools:
    """The tree's programs, run in one folder after another."""

    def __init__(self, programs: Path, work: Path, code: Path) -> None:
        kept = {
            name: value for name, value in os.environ.items() if name not in UNSET and not name.startswith("YOLOX_")
        }
        self.programs = programs
        self.environment = {
            **kept,
            **ENVIRONMENT,
            "PYTHONPATH": str(code),  # an editable installation names the tree's own place
            "PATH": f"{programs}{os.pathsep}{kept['PATH']}",
            "DVC_SITE_CACHE_DIR": str(work / "dvc-site"),
        }

    def __call__(self, folder: Path, *words: str | Path, codes: tuple[int, ...] = (0,)) -> str:
        """What it printed; standard error comes last, and is there only where the command failed."""
        command = [str(self.programs / words[0]) if (self.programs / words[0]).exists() else str(words[0])]
        done = subprocess.run(
            [*command, *map(str, words[1:])],
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in codes:
            raise SystemExit(f"{words}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        return done.stdout + (done.stderr if done.returncode else "")


def draw(folder: Path) -> None:
    """A VOC folder: squares and discs on plain grounds. All times are 0: the fingerprint reads them."""
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        ground = np.linspace(rng.integers(20, 90), rng.integers(20, 90), WIDTH)[None, :, None]
        ground = ground + np.linspace(rng.integers(0, 40), rng.integers(0, 40), HEIGHT)[:, None, None]
        pixels = np.broadcast_to(ground, (HEIGHT, WIDTH, 3)).astype(np.uint8).copy()
        objects, taken = [], np.zeros((HEIGHT, WIDTH), bool)
        for at in range(1 + number % 3):
            side = int(rng.integers(14, 23))
            x, y = int(rng.integers(1, WIDTH - side - 1)), int(rng.integers(1, HEIGHT - side - 1))
            if taken[y : y + side, x : x + side].any():
                continue
            taken[y : y + side, x : x + side] = True
            name = ("square", "disc")[(number + at) % 2]
            if name == "square":
                cv2.rectangle(pixels, (x, y), (x + side - 1, y + side - 1), (40, 60, 230), -1)
            else:
                cv2.circle(pixels, (x + side // 2, y + side // 2), side // 2, (230, 200, 40), -1)
            box = f"<xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + side}</xmax><ymax>{y + side}</ymax>"
            objects.append(f"<object><name>{name}</name><bndbox>{box}</bndbox></object>")
        stem = f"{NAME}_{number:02d}"
        picture, note = folder / "JPEGImages" / f"{stem}.jpg", folder / "Annotations" / f"{stem}.xml"
        picture.parent.mkdir(parents=True, exist_ok=True)
        note.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
        size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
        note.write_text(f"<annotation><filename>{stem}.jpg</filename>{size}{''.join(objects)}</annotation>")
        for path in (picture, note):
            os.utime(path, (0, 0))


def merged(plain: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`plain` with the changes, section by section."""
    return plain | {
        name: merged(plain.get(name) or {}, value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }


def set_params(project: Path, changes: dict[str, Any]) -> None:
    """Written as a user's editor would leave it: the file's comments stay where they can."""
    path = project / "params.yaml"
    text = path.read_text(encoding="utf-8")
    head = text[: text.index("seed:")]
    path.write_text(head + yaml.safe_dump(merged(yaml.safe_load(text), changes), sort_keys=False), encoding="utf-8")


def clean(made: Path, project: Path) -> None:
    """A copy without what a moved project does not need."""
    left_out = shutil.ignore_patterns("__pycache__", "*.pyc", "mlruns", "*.db-wal", "*.db-shm")
    shutil.copytree(made, project, symlinks=True, ignore=left_out)
    for name in (".git", ".dvc/tmp", ".dvc/cache/runs"):
        shutil.rmtree(project / name, ignore_errors=True)
    for run in (project / "runs").iterdir():
        shutil.rmtree(run / "ray", ignore_errors=True)  # Ray Train's own books: paths, host names
        for old in sorted((run / "checkpoints").glob("epoch_*.pt"))[:-1]:  # the last one is whole by itself
            old.unlink()
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        store.execute("PRAGMA journal_mode = DELETE")
        store.execute("VACUUM")  # deleted text leaves the pages


def check_clean(project: Path, words: list[str]) -> None:
    """Nothing of this machine, in no file (the entries of checkpoints are not compressed); a short name as a word."""
    named = [rb"\b%s\b" % re.escape(word.encode()) for word in words]
    wanted = re.compile(rb"|".join([rb"(?<![\w.])/(?:tmp|home|root|work)/\w", *named]))
    found = []
    for path in sorted(project.rglob("*")):
        if path.is_file():
            is_text = path.suffix in TEXTS and ".dvc/cache" not in str(path)
            hits = {hit for hit in wanted.findall(path.read_bytes()) if len(hit) > 5 or is_text}
            found += [f"{path.relative_to(project)}: {hit!r}" for hit in sorted(hits)]
    places = set()
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        for (table,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            cursor = store.execute(f'SELECT * FROM "{table}"')
            for row in cursor.fetchall():
                for column, value in zip(cursor.description, row, strict=True):
                    if isinstance(value, str) and unpacking.PLACEHOLDER in value:
                        places.add((table, column[0]))
                    elif isinstance(value, str) and wanted.search(value.encode()):
                        found.append(f"mlflow.db: {table}.{column[0]}: {value}")
    if places != set(unpacking.PLACES):
        found.append(f"mlflow.db holds the project's folder in {sorted(places)}")
    if found:
        raise SystemExit("this machine's:\n" + "\n".join(found))


def pack(project: Path, archive: Path) -> None:
    """Names in order, times 0, owner 0, hard links as files."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        if not entry.isdir():
            entry.mode = 0o444 if not entry.mode & 0o200 else 0o644
        else:
            entry.mode = 0o755
        return entry

    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    with (
        lzma.open(archive, "wb", filters=filters) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT, dereference=True) as tar,
    ):
        for path in [project, *sorted(project.rglob("*"))]:
            tar.add(path, Path(project.name) / path.relative_to(project), recursive=False, filter=plain)


def ask(run: Tools, archive: Path, place: Path, commit: str) -> dict[str, Any]:
    """What the unpacked project answers."""
    project = unpacking.unpack(archive, place)
    run(project, "git", "init", "--quiet")
    test = json.loads((project / "data/prepared/test.json").read_text(encoding="utf-8"))
    names = sorted(entry["file_name"] for entry in test["images"])[:SHOWN]
    pictures = [f"data/raw/images/{name}" for name in names]

    def predicted(alias: str) -> Any:
        words = (project, f"models:/yolox-{NAME}@{alias}", CONFIDENCE, *(project / name for name in pictures))
        told = json.loads(run(place, "python", "-P", "-c", PREDICT, *words).splitlines()[-1])
        assert Path(told["core"]).is_relative_to(project), told["core"]
        return told["found"]

    def said(*words: str, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
        command = subprocess.run(
            [str(run.programs / words[0]), *words[1:]],
            cwd=project,
            env=run.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert command.returncode in codes, (words, command)
        told = {"command": " ".join(words), "code": command.returncode, "stdout": command.stdout}
        if command.returncode:
            told["stderr"] = command.stderr
        assert str(place) not in json.dumps(told), told
        return told

    first = {
        "made_by": commit,
        "package_version": json.loads((project / "data/package.json").read_text(encoding="utf-8"))["version"],
        "name": f"yolox-{NAME}",
        "confidence": CONFIDENCE,
        "images": pictures,
        "predictions": {alias: predicted(alias) for alias in ("champion", "challenger")},
        "repro": said("dvc", "repro"),
    }
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        rows = store.execute("SELECT version, key, value FROM model_version_tags ORDER BY version, key").fetchall()
    tags: dict[str, dict[str, str]] = {}
    for version, key, value in rows:
        tags.setdefault(str(version), {})[key] = value
    return first | {
        "version_tags": tags,
        # in this order, each after the one before, in one copy of the project
        "commands": [
            said("yolox", "runs"),
            said("yolox", "lineage", "champion"),
            said("yolox", "lineage", "challenger"),
            said("yolox", "promote", "champion"),
            said("yolox", "rollback", codes=(2,)),
            said("yolox", "promote", "challenger"),
            said("yolox", "promote", "1", codes=(2,)),
            said("yolox", "lineage", "champion"),
            said("yolox", "rollback"),
            said("yolox", "lineage", "champion"),
        ],
    }


def main() -> None:
    """All of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--tree", "--project", "--work", "--out"):
        parser.add_argument(name, type=Path, required=True)
    words = parser.parse_args()
    tree, made, work, out = words.tree, words.project, words.work, words.out
    assert str(made) == unpacking.PLACEHOLDER
    run = Tools(tree / ".venv/bin", work, code=tree)
    commit = run(tree, "git", "rev-parse", "--short", "HEAD").strip()

    draw(made / NAME)
    run(made.parent, "python", "-c", YOLOX, "init", "project", "--data", f"project/{NAME}")
    set_params(made, FIRST)
    run(made, "dvc", "repro")
    set_params(made, SECOND)
    run(made, "dvc", "repro")
    run(made, "dvc", "gc", "--workspace", "--force")  # what dvc.lock names stays; the first model lies in mlartifacts

    clean(made, work / "clean" / "project")
    check_clean(work / "clean" / "project", [os.uname().nodename])
    pack(work / "clean" / "project", out / "project.tar.xz")
    expected = ask(Tools(tree / ".venv/bin", work, code=tree), out / "project.tar.xz", work / "asked", commit)
    (out / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")
    print(f"{(out / 'project.tar.xz').stat().st_size} bytes")


if __name__ == "__main__":
    main()
