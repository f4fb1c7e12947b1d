"""`make repro DATA=...` ended by each signal at four stages, sent to the group and to make alone, with changes of the
user's own in git: everything ends, git is as it was, and the next run resumes where this one was.

With `-s` it prints what came out as a table.
"""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.integration.project import PARAMS, RUN_MARK, YOLOX, Project, marked
from tests.integration.test_repro import STAGES, ran
from tests.needs import ROOT
from tests.pipeline.data import folders
from tests.waiting import until

pytestmark = [pytest.mark.ray, pytest.mark.long, pytest.mark.timeout(1800)]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL)
STOPPED_AT = ("ingest", "train", "evaluate", "export")
REACHED_WITHIN_S, ENDED_WITHIN_S, DONE_WITHIN_S = 300.0, 30.0, 600.0


class Run:
    """One `make repro` in a session of its own, what it prints in a file."""

    def __init__(self, project: Project, log: Path, data: Path) -> None:
        self.mark, self.log = secrets.token_hex(8), log
        settings = "train.epochs=8 data.split.val=0.2 registry.name='my model'"
        with log.open("w") as printed:
            self.make = subprocess.Popen(
                ["make", "repro", "READY=.ready", f"DATA={data}", f"SET={settings}"],
                cwd=project.root,
                env=project.environment(**{RUN_MARK: self.mark}),
                stdout=printed,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def living(self) -> list[psutil.Process]:
        return marked(self.mark)

    def is_at(self, stage: str) -> bool:
        for process in self.living():
            with suppress(psutil.Error):
                if process.cmdline()[1:] == [*YOLOX, stage]:
                    return True
        return False

    @property
    def printed(self) -> str:
        return self.log.read_text()


def git(project: Project, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=project.root, check=True, capture_output=True, text=True)
    return done.stdout


def git_state(project: Project) -> tuple[str, ...]:
    """HEAD, the index and the user's own files; params.yaml and dvc.lock are the run's."""
    tree = git(project, "write-tree"), git(project, "stash", "list")
    return (project.root / ".git/HEAD").read_text(), *tree, git(project, "diff", "--", "dvc.yaml", ".rayignore")


def stopped(project: Project, run: Run, stage: str, send: Callable[[int], None]) -> float:
    """Wait for the stage, end the run; the seconds until nothing of it was left."""
    before = project.checkpoints_written()

    def reached() -> bool:
        assert run.make.poll() is None, run.printed[-4000:]
        return run.is_at(stage) and (stage != "train" or project.checkpoints_written() > before)

    until(reached, REACHED_WITHIN_S)
    start = time.monotonic()
    send(run.make.pid)
    run.make.wait(ENDED_WITHIN_S)
    until(lambda: not run.living(), ENDED_WITHIN_S)
    return time.monotonic() - start


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("send", [os.killpg, os.kill], ids=["group", "make"])
def test_a_signal_ends_all_and_the_next_run_resumes(
    send: Callable[[int, int], None], number: signal.Signals, tmp_path: Path
) -> None:
    boxes = [("cat", 8, 8, 40, 40), ("dog", 44, 10, 76, 50)]
    data = folders.voc(tmp_path / "images", {f"image{number}": boxes for number in range(24)})
    project = Project.make(tmp_path / "project", {**PARAMS, "export": {"max_difference": 50, "max_map_loss": 1}})
    for name in ("requirements-dev.txt", "Makefile", ".ready"):  # in this order: it is set up
        (project.root / name).write_text((ROOT / name).read_text() if name == "Makefile" else "")
    with (project.root / "dvc.yaml").open("a") as own:
        own.write("# mine, in the index\n")
    git(project, "add", "dvc.yaml")
    with (project.root / ".rayignore").open("a") as own:
        own.write("# mine, not in the index\n")
    before, rows = git_state(project), []

    done: tuple[str, ...] = ()
    for stage in STOPPED_AT:
        run = Run(project, tmp_path / f"{stage}.log", data)
        seconds = stopped(project, run, stage, lambda pid: send(pid, number))
        assert git_state(project) == before
        assert not set(done) & set(ran(run.printed)), "a stage was done again"
        done = STAGES[1 : STAGES.index(stage)]
        rows.append(f"| {number.name} | {send.__name__} | {stage} | {seconds:.1f} s | {', '.join(ran(run.printed))} |")

    last = Run(project, tmp_path / "last.log", data)
    last.make.wait(DONE_WITHIN_S)
    assert last.make.returncode == 0, last.printed[-6000:]
    assert ran(last.printed) == ["fingerprint", *STAGES[STAGES.index("export") :]]
    assert "resuming after epoch" in (tmp_path / "evaluate.log").read_text()
    assert git_state(project) == before and not last.living()
    rows.append(f"| {number.name} | {send.__name__} | to its end | | {', '.join(ran(last.printed))} |")
    print("", *rows, sep="\n")
