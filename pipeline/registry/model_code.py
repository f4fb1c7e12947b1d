"""The code that a registered model predicts with, as a package of its own name.

It is a copy of what the predictor of `yolox_core` imports, made at packaging. The name carries a digest of its content,
so that models of different releases, and this project, can be loaded in one process: none finds another's code.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.config.digests import text_sha256

CORE = "yolox_core"
ROOT = Path(__file__).parents[2]
IMPORT = re.compile(rf"^(\s*from ){CORE}(?=[. ])", re.MULTILINE)
DIGITS = 12  # of the digest
TRAINING = "torch"  # a module that imports it at the top is not needed to predict
ABOUT = '''"""What this model predicts with: a part of yolox_core as it was when the model was registered."""\n'''


def write_code(folder: Path, *needed: str) -> str:
    """Write the package that holds the modules `needed` and what they import into `folder`; returns its name.

    Imports inside functions are followed, too, but for modules that need PyTorch: those the model never runs.
    """
    files = {_file(name).relative_to(ROOT / CORE): _file(name) for name in sorted(_closure(needed))}
    sources = {str(path): source.read_text(encoding="utf-8") for path, source in files.items()}
    package = f"{CORE}_{text_sha256(repr(sorted(sources.items())))[:DIGITS]}"
    for place, text in sources.items():
        path = folder / package / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(renamed(text, package), encoding="utf-8")
    for path in [folder / package, *(folder / package).rglob("*/")]:
        (path / "__init__.py").write_text(ABOUT, encoding="utf-8")
    return package


def imported_from_core(file: Path) -> list[str]:
    """The modules of yolox_core that a file imports."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return sorted({target for target, _ in _imports(tree) if target.startswith(f"{CORE}.")})


def renamed(text: str, package: str) -> str:
    """Source text that imports from `package` what it imported from yolox_core."""
    return IMPORT.sub(rf"\g<1>{package}", text)


def _closure(names: tuple[str, ...]) -> set[str]:
    waiting, found = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        imported = list(_imports(ast.parse(_file(name).read_text(encoding="utf-8"))))
        if name in names or not any(target.partition(".")[0] == TRAINING and at_once for target, at_once in imported):
            found.add(name)
            waiting += [target for target, _ in imported if target.startswith(f"{CORE}.")]
    return found


def _imports(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """What a file imports, and whether it does so when it is imported itself; nothing that is for type checkers."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, True)]
    while waiting:
        node, at_once = waiting.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_once) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = str(node.module)
            inner = [f"{source}.{alias.name}" for alias in node.names]
            yield from ((module if _is_module(module) else source, at_once) for module in inner)
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            waiting += [(child, at_once) for child in node.orelse]
        else:
            inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            waiting += [(child, at_once and not inside) for child in ast.iter_child_nodes(node)]


def _file(name: str) -> Path:
    return ROOT.joinpath(*name.split(".")).with_suffix(".py")


def _is_module(name: str) -> bool:
    return name.startswith(f"{CORE}.") and _file(name).is_file()
