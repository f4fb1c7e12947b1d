"""A digest of code by what it does: equal for equal programs, whatever their files are called and their comments say.

A module's digest covers its syntax tree without docstrings, and in place of each import from this project the digest
of the module that is imported, imports inside functions included: so the digest of one module names all that it can
run of this project. What only a type checker reads (`if TYPE_CHECKING:`) is left out.
"""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.config.digests import text_sha256

ROOT = Path(__file__).parents[2]
PACKAGES = ("yolox_core", "pipeline")


def code_digest(modules: Iterable[str], root: Path = ROOT) -> str:
    """sha256 of what these modules (dotted names) and all that they import from the packages below `root` do."""
    return text_sha256("\n".join(_digest(name, root) for name in modules))


@cache
def _digest(name: str, root: Path) -> str:
    tree = _WithoutTypes().visit(ast.parse(_file(name, root).read_text(encoding="utf-8")))
    plain = _Plain(root)
    for node in ast.walk(tree):  # before the tree is gone through: imports of imports from within would go too deep
        if isinstance(node, ast.ImportFrom):
            plain.visit_ImportFrom(node)
    tree = plain.visit(tree)
    return text_sha256("\n".join([*sorted(plain.imported), _text(tree)]))


def _file(name: str, root: Path) -> Path:
    path = root.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_module(name: str, root: Path) -> bool:
    return name.partition(".")[0] in PACKAGES and _file(name, root).is_file()


class _WithoutTypes(ast.NodeTransformer):
    """Takes out what only a type checker reads."""

    def visit_If(self, node: ast.If) -> Any:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return [kept for statement in node.orelse if (kept := self.visit(statement)) is not None]
        return self.generic_visit(node)


class _Plain(ast.NodeTransformer):
    """Takes out docstrings and the project's own imports, which it collects."""

    def __init__(self, root: Path) -> None:
        self.imported: set[str] = set()
        self._root = root
        self._modules: dict[str, str] = {}  # a module's name in this file -> what stands for it

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        source = node.module or ""
        if node.level:
            raise ValueError(f"a relative import cannot be followed: line {node.lineno}, {ast.unparse(node)}")
        if source.partition(".")[0] not in PACKAGES:
            return node
        for alias in node.names:
            inner = f"{source}.{alias.name}"
            if _is_module(inner, self._root):
                self.imported.add(self._stand_in(inner, alias.asname or alias.name))
            else:
                self.imported.add(f"{_digest(source, self._root)} {alias.name} {alias.asname or alias.name}")
        return None

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        for alias in node.names:
            if _is_module(alias.name, self._root):
                raise ValueError(f"expected `from ... import`: line {node.lineno}, {ast.unparse(node)}")
        return node

    def _stand_in(self, module: str, name: str) -> str:
        self._modules[name] = f"module {_digest(module, self._root)}"
        return self._modules[name]

    def visit_Name(self, node: ast.Name) -> ast.AST:
        # not a statement: imports at the top of a file, and of a function, come before what uses them
        return ast.Name(self._modules.get(node.id, node.id), node.ctx)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """A text that nothing takes is a docstring."""
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else self.generic_visit(node)


def _text(node: Any) -> str:
    """A syntax tree as text. Not by `ast.dump`, which differs between versions of Python for the same code."""
    if isinstance(node, ast.AST):
        return f"{type(node).__name__}({', '.join(_fields(node))})"
    if isinstance(node, list):
        return f"[{', '.join(map(_text, node))}]"
    return repr(node)


def _fields(node: ast.AST) -> Iterator[str]:
    for name, value in ast.iter_fields(node):
        if name not in ("ctx", "kind", "type_comment", "type_ignores") and value is not None and value != []:
            yield f"{name}={_text(value)}"
