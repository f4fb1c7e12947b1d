"""The service that infra/kuberay/rayservice.yaml describes, given to a Ray cluster the way KubeRay's operator does."""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from pipeline.serving.options import TOKEN
from tests.integration.nodes import Nodes
from tests.integration.project import YOLOX, Project
from tests.needs import ROOT
from tests.pipeline.cli.commands_project import SPEC, released
from tests.pipeline.data import folders
from tests.servers import answers, free_port
from tests.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.long]
MANIFEST = ROOT / "infra" / "kuberay" / "rayservice.yaml"
SECRET = "a token for clients"
UP_WITHIN_S = 180.0


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Nodes]:
    """One node with the cores that the manifest's replicas ask for, and the clients' token in its environment."""
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as temp:
        cluster = Nodes(Path(temp), port=free_port(), dashboard=free_port())
        ports = (f"--port={cluster.port}", f"--dashboard-port={cluster.dashboard}")
        try:
            cluster.start(
                "--head", *ports, "--num-cpus=4", f"--temp-dir={temp}", project=Project(ROOT), **{TOKEN: SECRET}
            )
            until(lambda: answers(cluster.port) and answers(cluster.dashboard), UP_WITHIN_S)
            yield cluster
        finally:
            for node in cluster.nodes:
                cluster.kill(node)


def test_the_manifests_service_answers(head: Nodes, tmp_path: Path) -> None:
    settings = yaml.safe_load(yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))["spec"]["serveConfigV2"])
    port = free_port()
    settings["http_options"] = {"host": "127.0.0.1", "port": port}
    settings["applications"][0]["args"] |= {"model": str(released(tmp_path / "released")), "runtime": "torch"}
    dashboard = f"http://127.0.0.1:{head.dashboard}/api/serve/applications/"
    allowed = {"Authorization": f"Bearer {head.token}"}

    assert requests.put(dashboard, json=settings, timeout=60).status_code == 401  # the cluster's own token
    told = requests.put(dashboard, json=settings, headers=allowed, timeout=60)
    assert told.status_code == 200, told.text

    def application() -> dict[str, Any]:
        everything = requests.get(dashboard, headers=allowed, timeout=60).json()
        found: dict[str, Any] = everything["applications"].get("yolox", {})
        assert found.get("status") != "DEPLOY_FAILED", found
        return found

    until(lambda: application().get("status") == "RUNNING", UP_WITHIN_S, every_s=1)
    (deployment,) = application()["deployments"].values()
    assert len(deployment["replicas"]) == settings["applications"][0]["args"]["replicas"] == 2

    image = tmp_path / "photo.png"
    folders.picture(image, 1, size=(100, 200))
    body, kind = image.read_bytes(), {"Content-Type": "image/png"}
    url = f"http://127.0.0.1:{port}/predict"
    assert requests.post(url, data=body, headers=kind, timeout=60).status_code == 401
    answered = requests.post(url, data=body, headers=kind | {"Authorization": f"Bearer {SECRET}"}, timeout=60)
    assert answered.status_code == 200, answered.text
    assert {found["category_name"] for found in answered.json()["detections"]} <= set(SPEC.class_names)
    assert answered.json()["detections"]

    words = [*YOLOX, "serve", "--model", str(tmp_path / "released"), "--runtime", "torch", "--port", str(free_port())]
    environment = Project(ROOT).environment(**head.environment)
    second = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert second.returncode == 2 and second.stderr.count("\n") == 1, second.stderr
    assert "this cluster serves yolox already" in second.stderr
    assert requests.post(url, data=body, headers=kind, timeout=60).status_code == 401  # and goes on doing so
