"""`yolox lineage`: a whole chain through git, DVC and MLflow, and each of its links lost in turn."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.config import paths
from pipeline.registry.evidence import run_of
from pipeline.registry.model_reference import STARTED_FROM, origin, weights_digest
from pipeline.registry.store import connect, tracking_uri
from tests.pipeline.cli.commands_project import Yolox
from tests.pipeline.registry.versions_project import NAME, Models, Versions, artifact

GIT = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
# the data of the real stages, put under DVC by stages of the same names
STAGES = {
    "ingest": {"cmd": "true", "outs": [str(paths.RAW)]},
    "validate": {"cmd": "true", "outs": [str(paths.VALID_ANNOTATIONS), {str(paths.VALIDATION): {"cache": False}}]},
    "prepare": {"cmd": "true", "outs": [str(paths.PREPARED)]},
}


@pytest.fixture
def followed(versions: Versions, models: Models) -> Versions:
    """Version 1, and version 2 that was trained from it; code in git, data in DVC."""
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}), encoding="utf-8")
    paths.VALIDATION.parent.mkdir()
    paths.VALIDATION.write_text("{}", encoding="utf-8")  # as in the real stage: beside the data, and not cached
    Path(".gitignore").write_text("/data/\n/ml*\n/models/\n/reports/\n/runs/\n", encoding="utf-8")
    dvc = [sys.executable, "-m", "dvc"]
    for words in (
        [*GIT, "init", "--quiet"],
        [*dvc, "init", "--quiet"],
        [*dvc, "commit", "--quiet", "--force"],
        [*GIT, "add", "--all"],
        [*GIT, "commit", "--quiet", "--message", "start"],
    ):
        subprocess.run(words, check=True, capture_output=True)
    versions.register(models.early)
    reference = f"models:/{NAME}@champion"
    versions.register(models.good, **{STARTED_FROM: origin(reference, weights_digest(reference))})
    return versions


def test_every_link_of_a_whole_chain_is_there(yolox: Yolox, followed: Versions) -> None:
    ended = yolox("lineage", "challenger")
    assert ended.code == 0, ended.out
    lines = ended.out.splitlines()
    titles = [line for line in lines if line.startswith("models:/")]
    assert [title.partition(",")[0] for title in titles] == [
        f"models:/{NAME}/2 (challenger)",
        f"models:/{NAME}/1 (champion)",
    ]
    linked = [line.split()[0] for line in lines if line.endswith("  ok")]
    assert linked == [
        "model",
        "run",
        "initial",
        "git",
        "dvc.lock",
        "data",
        "test",
        *["model", "run", "git", "dvc.lock", "data", "test"],
    ]
    assert any("initial weights" in line and f"{NAME}/1" in line for line in lines)
    assert any("initial weights" in line and "random" in line for line in lines)
    assert "lost" not in ended.out and lines[-1] == "every link is there"

    assert yolox("promote", "2").code == 0
    ended = yolox("lineage", "champion")
    assert ended.code == 0 and "by rule better, over version 1" in ended.out
    assert ended.out.count("champions before 1") == 1  # it is the model's, not a version's


def test_each_lost_link_is_named(yolox: Yolox, followed: Versions, tmp_path: Path) -> None:
    client = connect(tracking_uri())

    def lost(*words: str) -> None:
        ended = yolox("lineage", "2")
        assert ended.code == 1 and ended.out.splitlines()[-1].endswith("links lost")
        found = [line for line in ended.out.splitlines() if "  lost: " in line]
        assert len(found) == len(words), ended.out
        assert all(word in line for word, line in zip(words, found, strict=True)), found

    commit = followed.tags("2")["git.commit"]
    client.set_model_version_tag(NAME, "2", "git.commit", "0" * 40)
    lost("this repository does not have it")
    client.set_model_version_tag(NAME, "2", "git.commit", commit)

    manifest = subprocess.run(["md5sum", paths.MANIFEST], check=True, capture_output=True, text=True).stdout[:32]
    cached = Path(".dvc/cache/files/md5") / manifest[:2] / manifest[2:]
    cached.rename(tmp_path / "away")
    lost(*["1 of"] * 2)  # both versions were made from it
    (tmp_path / "away").rename(cached)

    digest = followed.tags("2")["data.digest"]
    client.set_model_version_tag(NAME, "2", "data.digest", "f" * 32)
    lost(f"has the digest {digest}")
    client.set_model_version_tag(NAME, "2", "data.digest", digest)

    run_id = run_of(client.get_model_version(NAME, "2"))
    lock = artifact(f"{run_id}/artifacts/dvc.lock")
    lock.rename(tmp_path / "lock")
    lost("its run does not have it", "its dvc.lock is lost")
    shutil.copy(paths.PARAMS, lock)
    lost("another one", "its dvc.lock is lost")
    (tmp_path / "lock").replace(lock)

    detections = artifact(f"{run_id}/artifacts/evidence/*/detections.json")
    kept = detections.read_bytes()
    detections.write_bytes(b"[]")
    lost("is not what was registered")
    detections.write_bytes(kept)

    client.delete_run(run_id)
    lost("it was deleted")
    client.restore_run(run_id)

    client.delete_model_version(NAME, "1")
    lost("no such version. Known: 2.")


def test_a_version_of_before_says_what_was_not_recorded(yolox: Yolox, versions: Versions, models: Models) -> None:
    """As versions were registered before their evidence was kept, and outside git and DVC."""
    versions.register(models.early)
    client = connect(tracking_uri())
    for tag in ("initial.weights", "test.digest", "evidence.sha256"):
        client.delete_model_version_tag(NAME, "1", tag)
    ended = yolox("lineage", "1")
    assert ended.code == 0 and ended.out.count("not recorded") == 4
    artifact("artifacts/*/model.safetensors").write_bytes(b"other")
    ended = yolox("lineage", "1")
    assert ended.code == 1 and "model.safetensors of version 1 is not what was registered" in ended.out
    yolox("lineage", "9").refused("no such version")


def test_a_file_to_start_from_is_looked_at_again(
    yolox: Yolox, versions: Versions, models: Models, tmp_path: Path
) -> None:
    weights = tmp_path / "start.safetensors"
    shutil.copy(models.early / "model.safetensors", weights)
    versions.register(models.good, **{STARTED_FROM: origin(str(weights), weights_digest(str(weights)))})
    assert yolox("lineage", "1").code == 0
    weights.write_bytes(b"other")
    ended = yolox("lineage", "1")
    assert ended.code == 1 and "there are other weights now" in ended.out
    weights.unlink()
    ended = yolox("lineage", "1")
    assert ended.code == 1 and "no such file" in ended.out
