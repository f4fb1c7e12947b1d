"""The compose file holds what the specification knows, to the letter, and the settings that keep its servers safe."""

import copy
import gzip
import json
import re
from typing import Any

import jsonschema
import pytest
import yaml

from tests.needs import ROOT

FOLDER = ROOT / "infra" / "compose"
TEXT = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SCHEMA = json.loads(gzip.decompress((ROOT / "tests/infra/schemas/compose.json.gz").read_bytes()))
VARIABLE = re.compile(r"\$\{(\w+)([^}]*)\}")


def problems(compose: dict[str, Any]) -> list[str]:
    checker = jsonschema.Draft202012Validator(SCHEMA)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in checker.iter_errors(compose)]


def test_the_specification_knows_every_field() -> None:
    assert problems(COMPOSE) == []


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("services", "mlflow"), "enviroment"),
        (("services", "postgres", "healthcheck"), "retry"),
        (("services", "ray-worker", "deploy"), "replica"),
        ((), "service"),
    ],
)
def test_a_misspelled_field_is_found(path: tuple[str, ...], wrong: str) -> None:
    compose = copy.deepcopy(COMPOSE)
    place = compose
    for name in path:
        place = place[name]
    place[wrong] = {}
    assert any(wrong in problem for problem in problems(compose))


def test_no_secret_has_a_default_and_all_are_in_the_example() -> None:
    used = VARIABLE.findall(TEXT)
    assert used and all(rest.startswith(":?") for _, rest in used)
    example = dict(
        line.split("=") for line in (FOLDER / "example.env").read_text().splitlines() if not line.startswith("#")
    )
    assert set(example) == {name for name, _ in used} and not any(example.values())
    for word in ("PASSWORD", "SECRET", "TOKEN", "KEY"):
        for line in TEXT.splitlines():
            if re.match(rf"\s+\w*{word}\w*:", line):
                assert "${" in line, line


def test_ports_are_of_this_machine_alone_and_versions_are_said() -> None:
    for name, service in COMPOSE["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        assert re.search(r":\d[\w.]*$", service["image"]), name
        assert "privileged" not in service and service.get("network_mode") != "host"


def test_servers_ask_who_is_there_and_say_whether_they_are_well() -> None:
    services = COMPOSE["services"]
    command = services["mlflow"]["command"]
    assert "--app-name=basic-auth" in command and any(word.startswith("--allowed-hosts=") for word in command)
    assert "--disable-security-middleware" not in command
    assert services["ray-head"]["environment"]["RAY_AUTH_MODE"] == "token"
    for name in ("postgres", "store", "mlflow", "ray-head"):
        assert services[name]["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert services["mlflow"]["depends_on"]["postgres"]["condition"] == "service_healthy"
