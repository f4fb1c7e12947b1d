"""The launcher's file holds what Ray's own schema knows, and nothing listens to the world."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.needs import ROOT

FILE = ROOT / "infra" / "launcher" / "aws.yaml"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    import ray

    path = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


@pytest.fixture
def launcher() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
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
    spot = launcher["available_node_types"]["train"]["node_config"]["InstanceMarketOptions"]["MarketType"]
    assert spot == "spot" and launcher["available_node_types"]["head"]["resources"]["CPU"] == 0


def test_it_says_how_to_start_and_stop_it_and_what_it_needs() -> None:
    head = FILE.read_text(encoding="utf-8").split("cluster_name", 1)[0]
    assert all(f"# {word}" in head for word in ("Start:", "Stop:", "Needs:"))
