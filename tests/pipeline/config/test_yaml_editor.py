"""Every value of params.yaml can be replaced by any other, and nothing else changes."""

from typing import Any

import pytest
from dvc.utils.serialize import loads_yaml

from pipeline.config.flattening import flattened
from pipeline.config.yaml_editor import YamlEditor
from pipeline.config.yaml_values import parse_yaml
from tests.needs import ROOT

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
TEXTS = ["yes", "010", "1e3", "1:30", "2024-01-01", "~", "null", "", " a ", "x" * 5000, "tab\there", "\x07", "\u2028"]
TEXTS += ["a: b", "a #b", "#a", "- a", "[a", "{a}", "@a", "%a", "*a", "&a", "!a", "?", "=", "<<", "it's", '"a"', "a\nb"]
TEXTS += ["back\\slash\\", "${HOME}", "C:\\images", "Übung"]


def comments(text: str) -> list[str]:
    return [line.partition("#")[2] for line in text.splitlines() if "#" in line]


@pytest.mark.parametrize("value", ["x", 5, None, [0.1, {"a": "b: c"}], {"name": "yes"}], ids=str)
def test_every_value_can_be_replaced_and_comments_stay(value: Any) -> None:
    for name, _ in flattened(parse_yaml(TEXT)):
        editor = YamlEditor(TEXT)
        editor.put(name, value)
        text = editor.text()
        section, _, key = name.rpartition(".")
        changed, wanted = parse_yaml(text), parse_yaml(TEXT)
        inner = wanted
        for part in section.split(".") if section else ():
            if part not in inner:  # a dotted key, as in sweep.space
                break
            inner = inner[part]
        else:
            inner[key] = value
            assert changed == wanted
        assert comments(text) == comments(TEXT), name


@pytest.mark.parametrize("text", TEXTS)
def test_text_is_the_same_text_to_every_reader(text: str) -> None:
    editor = YamlEditor(TEXT)
    editor.put("registry.name", text)
    editor.put("augment.albumentations", [{text: text, "p": [text]}])
    for read in (parse_yaml, loads_yaml):
        written = read(editor.text())
        assert written["registry"]["name"] == text
        assert written["augment"]["albumentations"] == [{text: text, "p": [text]}]


def test_a_new_section_is_made_at_any_depth() -> None:
    editor = YamlEditor("a: 1\n")
    assert editor.put("b.c.d", 2) is None
    assert editor.put("a", 3) == 1
    assert parse_yaml(editor.text()) == {"a": 3, "b": {"c": {"d": 2}}}
