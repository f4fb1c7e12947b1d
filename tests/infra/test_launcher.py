"""The launcher's file holds what Ray's own schema knows, and nothing listens to the world."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.needs import ROOT

FILES = sorted((ROOT / "infra" / "launcher").glob("*.yaml"))


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    import ray

    path = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@pytest.fixture(params=FILES, ids=lambda path: path.name)
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def launcher(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


def test_every_field_is_known(launcher: dict[str, Any], schema: dict[str, Any]) -> None:
    jsonschema.validate(launcher, schema)
    assert launcher["head_node_type"] in launcher["available_node_types"]


@pytest.mark.parametrize("wrong", ["max_worker", "head_start_ray_command", "dockers"])
def test_a_misspelled_field_is_found(launcher: dict[str, Any], schema: dict[str, Any], wrong: str) -> None:
    broken = copy.deepcopy(launcher) | {wrong: 1}
    with pytest.raises(jsonschema.ValidationError, match=wrong):
        jsonschema.validate(broken, schema)


def test_what_keeps_it_safe_and_alive(launcher: dict[str, Any]) -> None:
    (head,) = [command for command in launcher["head_start_ray_commands"] if "--head" in command]
    assert "--dashboard-host=127.0.0.1" in head
    options = launcher["docker"]["run_options"]
    assert "--env RAY_AUTH_MODE=token" in options and any(option.startswith("--shm-size") for option in options)
    assert any(target.endswith(".ray/auth_token") for target in launcher["file_mounts"])
    kinds = launcher["available_node_types"]
    markets = {name: kind["node_config"].get("InstanceMarketOptions", {}) for name, kind in kinds.items()}
    assert {"MarketType": "spot"} in markets.values() and not markets["head"] and kinds["head"]["resources"]["CPU"] == 0


def test_on_gpus_nothing_is_shared_but_the_store() -> None:
    launcher = yaml.safe_load((ROOT / "infra/launcher/aws-gpu.yaml").read_text(encoding="utf-8"))
    assert "initialization_commands" not in launcher
    assert not [option for option in launcher["docker"]["run_options"] if "--volume" in option]
    for name, kind in launcher["available_node_types"].items():
        assert kind["node_config"]["IamInstanceProfile"]["Name"]  # rights on the bucket without a key
        assert (kind["resources"].get("GPU") == 1) == (name != "head")


def test_it_says_how_to_start_and_stop_it_where_it_was_tried_and_what_it_needs(file: Path) -> None:
    head = file.read_text(encoding="utf-8").split("cluster_name", 1)[0]
    assert all(f"# {word}" in head for word in ("Start:", "Stop:", "Tried:", "Needs:"))
