"""The manifests hold what KubeRay's own schemas know, to the letter, and the settings that keep a cluster safe."""

import copy
import gzip
import importlib
import json
from functools import cache
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel
from ray.serve.schema import HTTPOptionsSchema, LoggingConfig, ServeApplicationSchema, ServeDeploySchema

from pipeline.serving.options import SHUTDOWN_TIMEOUT_S, TOKEN, Options
from tests.needs import ROOT

POLICY = ROOT / "infra" / "kuberay" / "network.yaml"
MANIFESTS = sorted((ROOT / "infra" / "kuberay").glob("ray*.yaml"))


@cache
def schema_of(kind: str) -> dict[str, Any]:
    """KubeRay's schema, made strict: a field that it does not know is an error."""
    path = ROOT / "tests" / "infra" / "schemas" / f"{kind}.json.gz"
    whole: dict[str, Any] = strict(json.loads(gzip.decompress(path.read_bytes())))
    return whole


def strict(node: Any) -> Any:
    if isinstance(node, list):
        return [strict(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    made = {name: strict(value) for name, value in node.items()}
    if node.get("x-kubernetes-int-or-string") is True:
        return {"type": ["integer", "string"]}
    if isinstance(node.get("properties"), dict) and not node.get("x-kubernetes-preserve-unknown-fields"):
        # Kubernetes itself knows what belongs into metadata; the schema leaves that open
        made.setdefault("additionalProperties", False)
    return made


def documents(text: str) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(text) if document]


def problems(document: dict[str, Any]) -> list[str]:
    checker = jsonschema.Draft202012Validator(schema_of(document["kind"]))
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in checker.iter_errors(document)]


def ray_of(document: dict[str, Any]) -> dict[str, Any]:
    """The cluster's part."""
    spec: dict[str, Any] = document["spec"]
    cluster: dict[str, Any] = spec.get("rayClusterSpec") or spec.get("rayClusterConfig") or spec
    return cluster


def pods_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = ray_of(document)
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


ALL = [(path.name, document) for path in MANIFESTS for document in documents(path.read_text(encoding="utf-8"))]


def test_there_is_a_job_a_cluster_and_a_service() -> None:
    assert {document["kind"] for _, document in ALL} == {"RayJob", "RayCluster", "RayService"}


def test_the_operator_may_ask_and_strangers_may_not() -> None:
    (policy,) = documents(POLICY.read_text(encoding="utf-8"))
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    sources = [source for rule in policy["spec"]["ingress"] for source in rule["from"]]
    assert {"podSelector": {}} in sources  # this namespace
    outside = [source for source in sources if "namespaceSelector" in source]
    assert [source["podSelector"]["matchLabels"] for source in outside] == [
        {"app.kubernetes.io/name": "kuberay-operator"}
    ]


@pytest.mark.parametrize(("name", "document"), ALL, ids=[name for name, _ in ALL])
def test_every_field_is_known(name: str, document: dict[str, Any]) -> None:
    plain = copy.deepcopy(document)
    plain["metadata"] = {}  # without a schema of its own there
    assert problems(plain) == []


@pytest.mark.parametrize(("name", "document"), ALL, ids=[name for name, _ in ALL])
def test_a_misspelled_field_is_found(name: str, document: dict[str, Any]) -> None:
    for at, wrong in (("headGroupSpec", "rayStartParam"), ("headGroupSpec", "templates"), (None, "rayVersions")):
        broken = copy.deepcopy(document)
        broken["metadata"] = {}
        cluster = ray_of(broken)
        (cluster[at] if at else cluster)[wrong] = {}
        assert any(wrong in problem for problem in problems(broken)), wrong
    typed = copy.deepcopy(document)
    ray_of(typed)["workerGroupSpecs"][0]["replicas"] = "two"
    assert any("replicas" in problem for problem in problems(typed))


@pytest.mark.parametrize(("name", "document"), ALL, ids=[name for name, _ in ALL])
def test_what_keeps_it_safe_and_alive(name: str, document: dict[str, Any]) -> None:
    cluster = ray_of(document)
    assert cluster["authOptions"]["mode"] == "token" and cluster["authOptions"]["secretName"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"  # no training on the head
    for pod in pods_of(document):
        assert pod["securityContext"]["runAsNonRoot"] and pod["terminationGracePeriodSeconds"] >= 60
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for container in pod["containers"]:
            assert not container["image"].endswith(":latest")  # which Kubernetes would always pull
            assert not container["securityContext"]["allowPrivilegeEscalation"]
            assert container["resources"]["requests"] == container["resources"]["limits"]
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert volumes[mounts["/dev/shm"]]["emptyDir"]["medium"] == "Memory"
            if document["kind"] != "RayService":  # its model comes from the registry
                assert "persistentVolumeClaim" in volumes[mounts["/shared"]]
    if document["kind"] == "RayJob":
        assert "RAY_JOB_STOP_WAIT_TIME_S" in document["spec"]["runtimeEnvYAML"]  # 3 s are not enough to save
        assert document["spec"]["backoffLimit"] >= 1 and document["spec"]["shutdownAfterJobFinishes"]


def service() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The manifest, its application, and the service's own settings."""
    (document,) = (document for _, document in ALL if document["kind"] == "RayService")
    settings = yaml.safe_load(document["spec"]["serveConfigV2"])
    return document, settings["applications"][0], settings


def unknown(model: type[BaseModel], given: dict[str, Any]) -> set[str]:
    """Ray's schema takes any name, so that newer settings do no harm; a misspelled one is one that it ignores."""
    return set(given) - set(model.model_fields)


def test_ray_serve_knows_every_setting_of_the_service() -> None:
    _, application, settings = service()
    ServeDeploySchema.model_validate(settings)
    assert not unknown(ServeDeploySchema, settings) and not unknown(HTTPOptionsSchema, settings["http_options"])
    assert not unknown(ServeApplicationSchema, application)
    assert not unknown(LoggingConfig, settings["logging_config"])
    assert unknown(ServeApplicationSchema, {**application, "import_paths": ""}) == {"import_paths"}


def test_the_service_fits_its_pods_and_asks_for_a_token() -> None:
    document, application, _ = service()
    module, _, builder = application["import_path"].partition(":")
    assert callable(getattr(importlib.import_module(module), builder))
    options = Options.from_mapping(application["args"])
    (group,) = ray_of(document)["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    in_a_pod = int(container["resources"]["requests"]["cpu"]) // options.threads
    assert in_a_pod * group["minReplicas"] >= options.replicas  # else the first start waits for ever
    assert group["template"]["spec"]["terminationGracePeriodSeconds"] > SHUTDOWN_TIMEOUT_S
    (secret,) = (source["secretRef"]["name"] for source in container["envFrom"])
    head = (ROOT / "infra/kuberay/rayservice.yaml").read_text(encoding="utf-8").split("apiVersion", 1)[0]
    assert f"secret generic {secret} " in head and TOKEN in head and "MLFLOW_TRACKING_URI" in head


@pytest.mark.parametrize("path", [*MANIFESTS, POLICY], ids=lambda path: path.name)
def test_a_file_says_how_to_start_and_stop_it_and_what_it_needs(path: Any) -> None:
    head = path.read_text(encoding="utf-8").split("apiVersion", 1)[0]
    assert all(f"# {word}" in head for word in ("Start:", "Stop:", "Needs:"))
