"""Who imports whom, read from the source (imports inside functions included), for the rules of this folder."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.needs import ROOT

PACKAGES = ("yolox_core", "pipeline")


@cache
def modules() -> dict[str, Path]:
    """Every module of both packages by its dotted name; a package goes by the name of its folder."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(name: str) -> ast.Module:
    """The parsed source of a module."""
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


@cache
def imports(name: str) -> frozenset[str]:
    """What a module imports, as dotted names; `from a import b` is a.b where that is one of our modules, else a."""
    return frozenset(target for node in ast.walk(tree(name)) for target in _targets(name, node))


def _targets(name: str, node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        source = _absolute(name, node)
        for alias in node.names:
            inner = f"{source}.{alias.name}"
            yield inner if inner in modules() or source == "torch" else source


def _absolute(name: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = name if modules()[name].name == "__init__.py" else name.rpartition(".")[0]
    for _ in range(node.level - 1):
        package = package.rpartition(".")[0]
    return f"{package}.{node.module}" if node.module else package


def own_imports(name: str) -> set[str]:
    """Those imports that are modules of this project."""
    return {target for target in imports(name) if target in modules()}


def closure(name: str) -> set[str]:
    """Every module of this project that runs when `name` is imported, its packages' own files included."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in seen or current not in modules():
            continue
        seen.add(current)
        waiting.extend(own_imports(current))
        waiting.append(current.rpartition(".")[0])
    return seen


@cache
def texts(name: str) -> frozenset[str]:
    """Every string that stands in a module's code, docstrings and parts of f-strings among them."""
    nodes = ast.walk(tree(name))
    return frozenset(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
