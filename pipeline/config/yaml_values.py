"""YAML as people write it: `010` is ten, `1e3` a thousand, `1:30` and dates are text.

PyYAML reads YAML 1.1, in which `010` is eight and `1e3` text. DVC, which records params.yaml in dvc.lock, reads YAML
1.2; this reader agrees with it. `yes` and `no` stay true and false. A key that is given twice is an error, as for DVC.
"""

import re
from typing import Any

import yaml

INT = "tag:yaml.org,2002:int"
FLOAT = "tag:yaml.org,2002:float"
DATE = "tag:yaml.org,2002:timestamp"
REPLACED = (INT, FLOAT, "tag:yaml.org,2002:value")
WHOLE = re.compile(r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*(?:[eE]\+?[0-9]{1,2})?)$")
FRACTION = re.compile(
    r"[-+]?(?:(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*|[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))$"
    r"|\.(?:nan|NaN|NAN)$"
)
BASES = {"0b": 2, "0o": 8, "0x": 16}
LARGEST_POWER = 18  # 1e19 does not fit 64 bits: such a number is a fraction like any other
# What PyYAML lets through besides its own errors: int() of the text, an explicit tag's odd value, depth
YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError)


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | float:
    text = str(loader.construct_scalar(node)).replace("_", "").lower()
    sign, digits = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if digits[:2] in BASES:
        return sign * int(digits[2:], BASES[digits[:2]])
    digits, _, power = digits.partition("e")
    if power and int(power) > LARGEST_POWER:
        return float(text)
    return sign * int(digits + "0" * int(power or 0))


def _date(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    loader.construct_yaml_timestamp(node)  # DVC makes a date of it, and fails where there is no such day
    return str(loader.construct_scalar(node))


def _rules() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """PyYAML's rules for what a plain word means, by its first letter, with ours for numbers."""
    rules = {
        first: [(tag, pattern) for tag, pattern in given if tag not in REPLACED]
        for first, given in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    for first in "-+0123456789.":
        rules[first] = [*rules.get(first, ()), (INT, WHOLE), (FLOAT, FRACTION)]
    return rules


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _rules()
    yaml_constructors = {**yaml.SafeLoader.yaml_constructors, INT: _whole, DATE: _date}  # noqa: RUF012

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping; ValueError for a duplicate key, of which PyYAML takes the last value and DVC none."""
        node = super().compose_mapping_node(anchor)
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            known, line = (key.tag, str(key.value)), key.start_mark.line + 1
            if known in lines:
                raise ValueError(f"{key.value} is given twice, in lines {lines[known]} and {line}. Keep one of them")
            lines[known] = line
        return node


def parse_yaml(text: str) -> Any:
    """The value of a YAML text; one of YAML_ERRORS where it is none."""
    return yaml.load(text, _Loader)  # a safe loader: plain values only
