"""What is completed in a process's environment, by real processes of a user id without a name."""

import json
import os
import pwd
import subprocess
import sys

import pytest

from pipeline.console import process_environment
from pipeline.console.process_environment import complete_environment
from tests import needs

SHOW = (
    "import os, json, getpass, pathlib;"
    "from pipeline.console.process_environment import complete_environment; complete_environment();"
    "print(json.dumps([getpass.getuser(), str(pathlib.Path.home()), os.environ.get('USER')]))"
)
NAMELESS = ("unshare", "--user", "--map-user=12345", "--map-group=12345")
ASKED = ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME")


def completed(*before: str, **given: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ASKED} | given
    words = [*before, sys.executable, "-c", SHOW]
    done = subprocess.run(words, cwd=needs.ROOT, env=environment, capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def test_a_user_id_without_a_name() -> None:
    needs.right("user-ids")
    assert completed(*NAMELESS) == ["uid12345", "/", "uid12345"]
    assert completed(*NAMELESS, USER="ann", HOME="/tmp") == ["ann", "/tmp", "ann"]


def test_a_user_whom_the_system_knows() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ASKED}
    words = [sys.executable, "-c", "import pathlib, getpass; print(getpass.getuser()); print(pathlib.Path.home())"]
    name, home = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert completed() == [name, home, name]


def test_make_finds_the_same() -> None:
    environment = {name: value for name, value in os.environ.items() if name not in (*ASKED, "MAKEFLAGS")}
    words = ["make", "--no-print-directory", "-f", "Makefile", "-f", "-", "show"]
    rule = 'show:\n\t@echo "$$USER:$$HOME"\n'
    done = subprocess.run(
        words, cwd=needs.ROOT, env=environment, input=rule, capture_output=True, text=True, check=True
    )
    user = pwd.getpwuid(os.getuid())
    assert done.stdout.strip() == f"{user.pw_name}:{user.pw_dir}"


def test_libraries_hear_of_a_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # so that it is put back, where there was none
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(process_environment, "quota_cores", lambda: None)
    complete_environment()
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setattr(process_environment, "quota_cores", lambda: 3)
    complete_environment()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    complete_environment()
    assert os.environ["OMP_NUM_THREADS"] == "5"
