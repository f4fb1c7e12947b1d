"""A study as a plain loop: real runs, a line each; what is done is not repeated, what fails is told and tried again."""

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from pipeline.study import executor
from pipeline.study.design import DataChoice
from pipeline.study.rows import read_rows
from pipeline.study.single_run import parts_of
from tests.pipeline.study.test_design import SHIPPED
from tests.yolox_core.training.small import scenes

ROOT = Path(__file__).parents[3]
SMALL: dict[str, Any] = {
    "seeds": [0],
    "metric": "map",
    "factors": {"width": {"model.width": [0.125, 0.25]}},
    "generators": {},
    "extra": [],
    "data": {"scenes": {"one_object": False, "folds": 7}},
    "base": {"train": {"epochs": 1, "closing_epochs": 0, "warmup_epochs": 0, "batch_size": 4, "input_size": 64}},
}


def test_folds_hold_every_image_once_and_set_aside_what_the_study_is_not_about(tmp_path: Path) -> None:
    records = scenes(tmp_path)
    choice = DataChoice(one_object=True, folds=3)
    parts = [parts_of(records, choice, seed) for seed in range(3)]
    alone = {image.file_name for image in records.images if len(image.objects) == 1}
    assert 0 < len(alone) < len(records.images)
    held_out = [image.file_name for part in parts for image in part.held_out.images]
    assert sorted(held_out) == sorted(alone)
    for part in parts:
        names = [{image.file_name for image in side.images} for side in (part.training, part.held_out, part.set_aside)]
        assert names[0] | names[1] == alone and not names[0] & names[1]
        assert names[2] == {image.file_name for image in records.images} - alone
    fewer = dataclasses.replace(records, images=list(reversed(records.images)))
    assert parts_of(fewer, choice, 1).held_out.images == parts[1].held_out.images


def loop(folder: Path, *more: str) -> str:
    words = [sys.executable, "-m", "pipeline.study.executor", str(folder / "study.yaml")]
    told = subprocess.run(
        [*words, "--data", f"scenes={folder / 'data'}", "--out", str(folder / "runs.jsonl"), "--device", "cpu", *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return told.stdout


@pytest.mark.training
def test_runs_are_done_once_and_failures_again(tmp_path: Path) -> None:
    records = scenes(tmp_path / "data")
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(yaml.safe_load(SHIPPED.read_text()) | SMALL))
    # a device that is not there: every run fails, after all that can be checked beforehand was in order
    assert "2 runs failed" in loop(tmp_path, "--at-once", "2", "--device", "cuda:99")
    rows = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert len(rows) == 2 and all("Traceback" in row["error"] for row in rows)
    (tmp_path / "runs.jsonl").open("a").write('{"key": "scenes/l/0", "da')  # the machine went away
    assert "2 runs, 0 done before" in loop(tmp_path, "--at-once", "2")
    lines = (tmp_path / "runs.jsonl").read_text().splitlines()
    done = {row["key"]: row for row in read_rows(tmp_path / "runs.jsonl")}
    assert set(done) == {"scenes/l/0", "scenes/h/0"}
    for row in done.values():
        assert row["images"]["training"] + row["images"]["held_out"] == len(records.images)
        assert row["steps"] == 3 and 0 <= row["figures"]["held_out"]["map"] <= 1
        assert row["health"]["assign/positives_per_object"] > 0
    assert "2 done before" in loop(tmp_path)
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == len(lines)


@pytest.mark.training
def test_a_killed_loop_leaves_no_process_behind(tmp_path: Path) -> None:
    scenes(tmp_path / "data")
    long = SMALL | {"base": SMALL["base"] | {"train": SMALL["base"]["train"] | {"epochs": 10_000}}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(yaml.safe_load(SHIPPED.read_text()) | long))
    words = ["--data", f"scenes={tmp_path / 'data'}", "--out", f"{tmp_path / 'runs.jsonl'}", "--device", "cpu"]
    loop_ = subprocess.Popen(
        [sys.executable, "-m", "pipeline.study.executor", str(tmp_path / "study.yaml"), *words], cwd=ROOT
    )
    try:
        running = wait_for(lambda: training(psutil.Process(loop_.pid).children()))
    finally:
        loop_.kill()
        loop_.wait()
    _, alive = psutil.wait_procs(running, timeout=30)
    assert not alive


def training(children: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have computed for 3 s; a short one (`git rev-parse`) may end while it is being looked at."""
    busy = []
    for process in children:
        with suppress(psutil.NoSuchProcess):
            if process.cpu_times().user > 3:
                busy.append(process)
    return busy


def wait_for(look: Callable[[], Any]) -> Any:
    """What `look` finds, as soon as it finds anything."""
    for _ in range(600):
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError("nothing within a minute")


@pytest.mark.training
def test_other_images_under_the_same_name_are_refused(tmp_path: Path) -> None:
    records = scenes(tmp_path / "data")
    (tmp_path / "study.yaml").write_text(
        yaml.safe_dump(yaml.safe_load(SHIPPED.read_text()) | SMALL | {"seeds": [0, 1]})
    )
    assert "1/4" in loop(tmp_path, "--until-s", "1")
    assert len(read_rows(tmp_path / "runs.jsonl")) == 1
    records.path(records.images[0]).write_bytes(records.path(records.images[1]).read_bytes())
    with pytest.raises(subprocess.CalledProcessError) as refused:
        loop(tmp_path)
    assert "expected a row of the same images" in refused.value.stderr and refused.value.returncode == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "expected raccoon=FOLDER"),
        (("--data", "raccoon"), "expected NAME=FOLDER"),
        (("--data", "racoon=x"), "Did you mean 'raccoon'"),
    ],
    ids=str,
)
def test_data_that_a_study_needs_is_asked_for(
    tmp_path: Path,
    given: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "study.yaml").write_text(SHIPPED.read_text())
    words = [str(tmp_path / "study.yaml"), *given, "--out", str(tmp_path / "runs.jsonl"), "--device", "cpu"]
    monkeypatch.setattr("sys.argv", ["executor", *words])
    with pytest.raises(SystemExit) as refused:
        executor.main()
    line = capsys.readouterr().err
    assert refused.value.code == 2 and message in line and line.count("\n") == 1
