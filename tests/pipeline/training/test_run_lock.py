"""The lock of a run folder: one at a time, free again when its holder ends, however it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.training.run_lock import lock_if_free, run_lock
from tests.needs import ROOT
from yolox_core.errors import InputError

HOLDER = """
import sys, time
from pathlib import Path
from pipeline.training.run_lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_one_waits_and_then_says_why(tmp_path: Path) -> None:
    with run_lock(tmp_path / "run"):
        with pytest.raises(InputError, match="another process works in this folder"), run_lock(tmp_path / "run", 0.1):
            pass
        with lock_if_free(tmp_path / "run") as free:
            assert not free
        with run_lock(tmp_path / "another", 0.1):
            pass
    with run_lock(tmp_path / "run", 0.1):
        pass


def test_who_asks_whether_it_is_free_holds_it(tmp_path: Path) -> None:
    tmp_path.joinpath("run").mkdir()
    with lock_if_free(tmp_path / "run") as free:
        assert free
        with pytest.raises(InputError), run_lock(tmp_path / "run", 0.1):
            pass


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            with lock_if_free(tmp_path / "run") as free:
                assert not free
        finally:
            holder.kill()
    with run_lock(tmp_path / "run", 5):
        pass
