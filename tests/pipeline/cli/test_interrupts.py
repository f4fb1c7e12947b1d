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
CODE = "from pipeline.cli.main import main; main()"


@pytest.mark.parametrize("command", ["predict", "serve"])
@pytest.mark.parametrize("module", STARTED)
def test_a_command_that_is_interrupted_while_it_starts_says_nothing(command: str, module: str, tmp_path: Path) -> None:
    """`module` is the one that Python has just imported."""
    words = [sys.executable, "-X", "importtime", "-c", CODE, command, "--model", "models:/nobody/1"]
    words += ["nothing.jpg"] if command == "predict" else []
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("import time:") and line.rpartition("|")[2].strip() == module:
                process.send_signal(signal.SIGINT)
                break
        rest = [line for line in process.stderr if not line.startswith("import time:")]
    assert process.returncode == 130, rest
    assert not "".join(rest).strip()


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
