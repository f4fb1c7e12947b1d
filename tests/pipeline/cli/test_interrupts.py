"""Ctrl-C in the first second of a command: it ends at once, quietly, as a shell expects (130)."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.console.interrupts import quiet_start
from tests.needs import ROOT

STARTED = ("typer", "yolox_core.export.formats", "pipeline.registry.resolve", "numpy")
CODE = """
import os, signal, sys

class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
sys.meta_path.insert(0, Interrupted())
from pipeline.cli.main import main
main()
"""


@pytest.mark.parametrize("command", ["predict", "serve"])
@pytest.mark.parametrize("module", STARTED)
def test_a_command_that_is_interrupted_while_it_starts_says_nothing(command: str, module: str, tmp_path: Path) -> None:
    """`module` is the one that Python is about to import."""
    words = [sys.executable, "-c", CODE.replace("MODULE", repr(module)), command, "--model", "models:/nobody/1"]
    words += ["nothing.jpg"] if command == "predict" else []
    ended = subprocess.run(
        words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_a_handler_of_somebody_else_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    with quiet_start():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is before
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with quiet_start():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
