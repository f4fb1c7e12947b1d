"""Hosts on one machine share nothing, can be cut off from each other, and leave nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.hosts import Lan, hosts
from tests.needs import ROOT
from tests.waiting import until

NAMES = ("one", "two")
# a caller that says the process ids of what it holds and of what it has begun there, and waits
CALLER = """
import sys
from pathlib import Path
from tests.hosts import hosts
with hosts(Path(sys.argv[1]), "alone") as lan:
    lan["alone"].popen("sh", "-c", "sleep 600 & sleep 600")
    print(lan["alone"].init, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    with hosts(tmp_path_factory.mktemp("hosts"), *NAMES) as made:
        yield made


@pytest.mark.parametrize("name", NAMES)
def test_a_host_sees_itself_and_nothing_of_the_project(lan: Lan, name: str) -> None:
    host = lan[name]
    assert host.output("hostname").strip() == name
    assert host.output("sh", "-c", "echo $HOME; pwd").split() == [str(host.home)] * 2
    host.output("sh", "-c", f"echo {name} > /tmp/mine; echo {name} > /dev/shm/mine; echo {name} > mine")
    assert host.output("cat", "/tmp/mine", "/dev/shm/mine", str(host.home / "mine")).split() == [name] * 3
    assert host.here(Path("/tmp/mine")).read_text() == f"{name}\n"
    for path in (
        ROOT,
        ROOT.parent / "shared",
        Path(sys.prefix),
        *(Path("/home") / other for other in NAMES if other != name),
    ):
        done = host.run("ls", str(path))
        assert done.returncode and "No such file or directory" in done.stdout, done.stdout
    assert host.output("ps", "-eo", "comm=").split() == ["cat", "ps"]


@pytest.mark.parametrize("name", NAMES)
def test_a_host_has_the_wheel_and_the_locked_packages(lan: Lan, name: str) -> None:
    words = "import pipeline, yolox_core, numpy; print(pipeline.__file__, yolox_core.__file__, numpy.__file__)"
    ours, core, locked = map(Path, lan[name].output("python", "-c", words).split())
    (packages,) = {path.parents[1] for path in (ours, core)}
    assert packages.is_relative_to(f"/opt/{name}/lib") and locked.parents[1] == Path("/opt/packages")
    assert "Usage: yolox" in lan[name].output("yolox", "--help")
    done = lan[name].run("touch", "/opt/packages/mine")
    assert done.returncode and "Read-only file system" in done.stdout


def test_packets_between_two_hosts_vanish_and_come_through_again(lan: Lan) -> None:
    one, two = lan["one"], lan["two"]
    server = two.popen("python", "-m", "http.server", "8000")
    until(lambda: one.answers(two.address, 8000), 60)
    lan.cut(one, two)
    assert not one.answers(two.address, 8000) and two.answers(two.address, 8000)
    lan.heal()
    assert one.answers("two", 8000), "by its name, too"
    with lan.unplugged(two):
        assert not one.answers(two.address, 8000)
    assert one.answers(two.address, 8000)
    server.send_signal(signal.SIGINT)  # reaches Python itself, which says so and ends
    assert "Keyboard interrupt received" in server.communicate(timeout=60)[0]


def test_a_host_that_is_killed_stays_and_so_do_its_files(lan: Lan) -> None:
    two = lan["two"]
    sleeping = two.popen("sh", "-c", "echo kept > kept; sleep 600; :")
    until(lambda: two.here(two.home / "kept").exists(), 60)
    two.kill()
    assert sleeping.wait(60) == -signal.SIGKILL
    assert two.output("ps", "-eo", "comm=").split() == ["cat", "ps"]
    assert two.output("cat", "kept") == "kept\n"


def test_one_more_host_joins_later(lan: Lan) -> None:
    three = lan.add("three")
    server = three.popen("python", "-m", "http.server", "8000")
    until(lambda: lan["one"].answers("three", 8000), 60)
    server.kill()
    server.wait(60)


def test_a_killed_caller_leaves_nothing(tmp_path: Path) -> None:
    words = [sys.executable, "-c", CALLER, str(tmp_path)]
    there = os.environ | {"PYTHONPATH": str(ROOT)}  # what starts Ray keeps its processes from the current folder
    caller = subprocess.Popen(words, cwd=ROOT, env=there, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert caller.stdout is not None
    first = psutil.Process(int(caller.stdout.readline()))
    it = psutil.Process(caller.pid)
    until(lambda: [one.name() for one in it.children(recursive=True)].count("sleep") == 2, 60)
    family = it.children(recursive=True)
    assert first in family
    caller.kill()
    caller.communicate()
    assert not psutil.wait_procs(family, timeout=60)[1]
