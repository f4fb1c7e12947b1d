"""How the commands are listed by `yolox --help`, and what it says of the plain stages."""

import ast
from pathlib import Path
from typing import Any

from typer.core import TyperGroup

from pipeline import stages


class Commands(TyperGroup):
    """Lists the commands with the whole first sentence of each; by itself Typer cuts it at the end of the line."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        shown = [(name, command) for name, command in self.commands.items() if not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(limit=1000)) for name, command in shown])


def about(stage: str) -> str:
    """What the first line of a stage's file says of it; read and not imported, which would take seconds."""
    source = Path(stages.__path__[0], f"{stage}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").split("\n")[0].partition(": ")[2]
