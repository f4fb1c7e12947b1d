"""A run whose checkpoints go to a store that is cut off: nothing stops, nothing is lost, the bits are the same."""

import time
from pathlib import Path

import pytest

from tests.integration.conftest import Finished
from tests.integration.project import YOLOX, Family, Project, finish
from tests.servers import S3, Away, s3_server
from tests.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(900)]

AWAY_S = 15.0


def epochs_there(server: S3) -> int:
    """Of the only run in the store, by its newest checkpoint."""
    found = server.client().list_objects_v2(Bucket="bucket", Prefix="all/runs/").get("Contents", [])
    names = [entry["Key"].rpartition("/")[2] for entry in found]
    return max((int(name[6:11]) for name in names if name.startswith("epoch_")), default=0)


def test_a_store_that_is_away_twice_costs_the_training_nothing(
    finished: Finished, prepared: Project, tmp_path: Path
) -> None:
    project = prepared.copy(tmp_path / "project")
    with s3_server(tmp_path) as server:
        server.client().create_bucket(Bucket="bucket")
        way = Away(int(server.url.rpartition(":")[2]))
        there = server.environment | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{way.port}",
            "AWS_MAX_ATTEMPTS": "1",
            "YOLOX_STORE": "s3://bucket/all",
        }
        with way:
            family = Family(project.start(*YOLOX, "train", **there))
            until(lambda: epochs_there(server) > 1, 600)
        with family:
            before = project.checkpoints_written()
            time.sleep(AWAY_S)
            until(lambda: project.checkpoints_written() > before + 1, 60)  # the training does not wait
            sent = epochs_there(server)
            with way:
                until(lambda: epochs_there(server) > sent, 60)
            time.sleep(AWAY_S / 3)
            with way, family.watched():
                printed = finish(family.command)
        assert family.command.returncode == 0, printed[-6000:]
        assert "Traceback" not in printed and printed.count("Training continues; it is tried") >= 1, printed[-6000:]
        assert "answers again; nothing is lost" in printed and "resuming" not in printed, printed[-6000:]
        assert project.result() == finished.project.result()
        assert epochs_there(server) == len(project.history())
