"""The manifests hold what KubeRay's own schemas know, to the letter, and the settings that keep a cluster safe."""

import copy
import gzip
import importlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import BaseModel
from ray.serve.schema import HTTPOptionsSchema, LoggingConfig, ServeApplicationSchema, ServeDeploySchema

from pipeline.serving.options import SHUTDOWN_TIMEOUT_S, TOKEN, Options
from tests.needs import ROOT

POLICY = ROOT / "infra" / "kuberay" / "network.yaml"
MANIFESTS = sorted((ROOT / "infra" / "kuberay").rglob("ray*.yaml"))
GPU = "nvidia.com/gpu"


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


def name_of(path: Path) -> str:
    return path.relative_to(POLICY.parent).as_posix()


ALL = [(name_of(path), document) for path in MANIFESTS for document in documents(path.read_text(encoding="utf-8"))]
ON_GPUS = [(name, document) for name, document in ALL if name.startswith("gpu/")]
SERVICES = [(name, document) for name, document in ALL if document["kind"] == "RayService"]


def test_there_is_a_job_a_cluster_and_a_service() -> None:
    for some in (ALL, ON_GPUS):
        assert {document["kind"] for _, document in some} == {"RayJob", "RayCluster", "RayService"}


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
            # a service's model comes from the registry; with GPUs, all is in the store
            if document["kind"] != "RayService" and (name, document) not in ON_GPUS:
                assert "persistentVolumeClaim" in volumes[mounts["/shared"]]
    if document["kind"] == "RayJob":
        assert "RAY_JOB_STOP_WAIT_TIME_S" in document["spec"]["runtimeEnvYAML"]  # 3 s are not enough to save
        assert document["spec"]["backoffLimit"] >= 1 and document["spec"]["shutdownAfterJobFinishes"]


@pytest.mark.parametrize(("name", "document"), ON_GPUS, ids=[name for name, _ in ON_GPUS])
def test_on_gpus_nothing_is_shared_but_the_store(name: str, document: dict[str, Any]) -> None:
    """Keys from a secret or, for a store, a service account; GPUs on machines that are kept for those who ask."""
    head, *workers = pods_of(document)
    for pod in (head, *workers):
        assert not [volume for volume in pod["volumes"] if "emptyDir" not in volume]
        (container,) = pod["containers"]
        (secret,) = (source["secretRef"] for source in container["envFrom"])
        if document["kind"] != "RayService":
            assert secret["optional"] and pod["serviceAccountName"] == "yolox"
            mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
            assert {entry["value"] for entry in container["env"] if entry["name"] == "YOLOX_CACHE"} <= mounts
        assert (container["resources"]["limits"].get(GPU) == 1) == (pod is not head)
    for pod in workers:
        assert pod["nodeSelector"] and {"key": GPU, "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]


def test_the_cluster_with_gpus_takes_spot_machines_first() -> None:
    (cluster,) = (document["spec"] for _, document in ON_GPUS if document["kind"] == "RayCluster")
    groups = {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
    assert groups["spot"]["priority"] > groups["on-demand"].get("priority", 0)
    assert cluster["autoscalerOptions"]["version"] == "v2" and cluster["enableInTreeAutoscaling"]
    for name, group in groups.items():
        assert group["labels"] == {"ray.io/market-type": name} and group["minReplicas"] == 0
        assert (
            group["template"]["spec"]["restartPolicy"] == "Never"
        )  # a machine that is lost is the autoscaler's to replace


def settings_of(document: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A service's application, and all of its own settings."""
    settings = yaml.safe_load(document["spec"]["serveConfigV2"])
    return settings["applications"][0], settings


def unknown(model: type[BaseModel], given: dict[str, Any]) -> set[str]:
    """Ray's schema takes any name, so that newer settings do no harm; a misspelled one is one that it ignores."""
    return set(given) - set(model.model_fields)


@pytest.mark.parametrize(("name", "document"), SERVICES, ids=[name for name, _ in SERVICES])
def test_ray_serve_knows_every_setting_of_the_service(name: str, document: dict[str, Any]) -> None:
    application, settings = settings_of(document)
    ServeDeploySchema.model_validate(settings)
    assert not unknown(ServeDeploySchema, settings) and not unknown(HTTPOptionsSchema, settings["http_options"])
    assert not unknown(ServeApplicationSchema, application)
    assert not unknown(LoggingConfig, settings["logging_config"])
    assert unknown(ServeApplicationSchema, {**application, "import_paths": ""}) == {"import_paths"}


@pytest.mark.parametrize(("name", "document"), SERVICES, ids=[name for name, _ in SERVICES])
def test_the_service_fits_its_pods_and_asks_for_a_token(name: str, document: dict[str, Any]) -> None:
    application, _ = settings_of(document)
    module, _, builder = application["import_path"].partition(":")
    assert callable(getattr(importlib.import_module(module), builder))
    options = Options.from_mapping(application["args"])
    (group,) = ray_of(document)["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    asked = container["resources"]["requests"]
    in_a_pod = int(asked["cpu"]) // options.threads
    if options.device == "cuda":
        in_a_pod = min(in_a_pod, int(asked[GPU]))
    assert in_a_pod * group["minReplicas"] >= options.replicas  # else the first start waits for ever
    assert group["template"]["spec"]["terminationGracePeriodSeconds"] > SHUTDOWN_TIMEOUT_S
    (secret,) = (source["secretRef"]["name"] for source in container["envFrom"])
    head = (POLICY.parent / name).read_text(encoding="utf-8").split("apiVersion", 1)[0]
    assert f"secret generic {secret} " in head and TOKEN in head and "MLFLOW_TRACKING_URI" in head


@pytest.mark.parametrize("path", [*MANIFESTS, POLICY], ids=name_of)
def test_a_file_says_how_to_start_and_stop_it_where_it_was_tried_and_what_it_needs(path: Any) -> None:
    head = path.read_text(encoding="utf-8").split("apiVersion", 1)[0]
    assert all(f"# {word}" in head for word in ("Start:", "Stop:", "Tried:", "Needs:"))
