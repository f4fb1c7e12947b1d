"""Numbers are what people mean by them, and what DVC records of them."""

from typing import Any

import pytest
import yaml
from dvc.utils.serialize import loads_yaml
from ruamel.yaml.constructor import DuplicateKeyError

from pipeline.config.yaml_values import YAML_ERRORS, parse_yaml
from tests.needs import ROOT

AS_WRITTEN: dict[str, Any] = {
    "010": 10,
    "08": 8,
    "-010": -10,
    "1e3": 1000,
    "1e-3": 0.001,
    "1_000": 1000,
    "0x1F": 31,
    "0o10": 8,
    "00.5": 0.5,
    "+5": 5,
    "1e19": 1e19,
    ".inf": float("inf"),
    "1:30": "1:30",
    "~": None,
    "true": True,
    "[1e3, {a: 010}]": [1000, {"a": 10}],
}


@pytest.mark.parametrize("text", AS_WRITTEN)
def test_a_number_is_what_people_mean_and_dvc_records(text: str) -> None:
    value = parse_yaml(text)
    assert value == AS_WRITTEN[text] and type(value) is type(AS_WRITTEN[text])
    assert value == loads_yaml(text)


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("off", False), ("2024-01-01", "2024-01-01")])
def test_where_people_mean_something_else_than_yaml_1_2(text: str, value: Any) -> None:
    assert parse_yaml(text) == value


@pytest.mark.parametrize(
    "path", ["params.yaml", *(f"pipeline/presets/{name}.yaml" for name in ("few-images", "fine-tune"))]
)
def test_our_own_files_mean_the_same_to_every_reader(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert parse_yaml(text) == yaml.safe_load(text) == loads_yaml(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed: 0\ntrain: {}\nseed: 3\n", "seed is given twice, in lines 1 and 3"),
        ("train: {epochs: 1, epochs: 1}", "epochs is given twice, in lines 1 and 1"),
        ("a:\n  - {1: x, 1: y}\n", "1 is given twice, in lines 2 and 2"),
    ],
)
def test_a_key_that_is_given_twice_is_an_error_as_for_dvc(text: str, says: str) -> None:
    with pytest.raises(YAML_ERRORS, match=says):
        parse_yaml(text)
    with pytest.raises(DuplicateKeyError):
        loads_yaml(text)


def test_what_overrides_an_anchor_is_not_given_twice() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, x: 4}\nd: {1: x, '1': y}\n"
    assert parse_yaml(text) == loads_yaml(text)


@pytest.mark.parametrize("text", ["[1", "'", "a: b: c", "!!python/object:os.system x", "9" * 5000])
def test_what_is_no_value_is_an_error(text: str) -> None:
    with pytest.raises(YAML_ERRORS):
        parse_yaml(text)
