"""An MLflow server on PostgreSQL, both real: eight trainings write at once, and every number is there."""

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.registry.run_log import RunLog
from pipeline.registry.store import connect
from tests import needs
from tests.servers import answers, free_port, running
from tests.waiting import until
from yolox_core.atomic_files import write_text

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

RUNS, EPOCHS, METRICS = 8, 5, 20  # 100 numbers of each run


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server whose numbers are in a PostgreSQL of its own."""
    programs = needs.postgresql()
    folder = Path(tmp_path_factory.mktemp("postgres"))
    owner: dict[str, Any] = {}
    if os.getuid() == 0:  # PostgreSQL will not run as root
        account = pwd.getpwnam("postgres")
        owner = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        folder = Path("/tmp") / f"yolox-postgres-{os.getpid()}"
        folder.mkdir()
        os.chown(folder, account.pw_uid, account.pw_gid)
    try:
        data, port = folder / "data", free_port()
        made = [programs / "initdb", "-D", data, "--username=mlflow", "--auth=trust", "--no-sync"]
        subprocess.run([str(word) for word in made], check=True, capture_output=True, cwd=folder, **owner)
        words = [programs / "postgres", "-D", data, "-p", port, "-k", folder, "-c", "listen_addresses=127.0.0.1"]
        with running([str(word) for word in words], folder / "log", cwd=folder, **owner):
            until(lambda: answers(port), 60)
            web = free_port()
            mlflow = [str(Path(sys.executable).with_name("mlflow")), "server", "--workers", "1", "--host", "127.0.0.1"]
            store = f"postgresql://mlflow@127.0.0.1:{port}/postgres"
            mlflow += ["--port", str(web), "--backend-store-uri", store, "--artifacts-destination", str(folder / "art")]
            environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
            path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
            with running(mlflow, folder / "mlflow.log", env=environment | {"PATH": path}, cwd=folder):
                until(lambda: answers(web), 120)
                yield f"http://127.0.0.1:{web}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_eight_runs_at_once(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    rows = [
        {"epoch": epoch, "step": epoch, "loss": 9.0 - epoch}
        | {f"class/{name}/map": name + epoch / 10 for name in range(METRICS - 1)}
        for epoch in range(EPOCHS)
    ]
    text = "".join(f"{json.dumps(row)}\n" for row in rows)
    folders = [tmp_path / "runs" / f"run-{number}" for number in range(RUNS)]
    for folder in folders:
        folder.mkdir(parents=True)
        write_text(folder / "history.jsonl", text)
    logs = [RunLog.open(folder, "at once", folder.name, {"seed": 0}, {}) for folder in folders]
    for row in rows:
        for log in logs:
            log.log_epoch(row)
    for log in logs:
        log.finish()
    client = connect(server)
    assert len({log.run_id for log in logs}) == RUNS
    for log in logs:
        run_id = str(log.run_id)
        names = client.get_run(run_id).data.metrics
        assert len(names) == METRICS
        for name in names:
            history = [(metric.step, metric.value) for metric in client.get_metric_history(run_id, name)]
            assert history == [(row["epoch"], row[name]) for row in rows]
