"""Lines of code of both packages: no blank lines, comments or docstrings.

python -m tests.architecture.lines [FOLDER]     the checkout in FOLDER; default: this one
"""

import ast
import io
import sys
import tokenize
from pathlib import Path

from tests.architecture.imports import PACKAGES
from tests.needs import ROOT

WITHOUT_CODE = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines_of_code(source: str) -> int:
    """Lines that hold code; a statement over three lines counts as three."""
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in WITHOUT_CODE:
            held |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                held -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return len(held)


def main(root: Path) -> None:
    counts = {
        package: sum(lines_of_code(path.read_text(encoding="utf-8")) for path in sorted((root / package).rglob("*.py")))
        for package in PACKAGES
    }
    for package, count in counts.items():
        print(f"{package:12} {count:6}")
    print(f"{'both':12} {sum(counts.values()):6}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
