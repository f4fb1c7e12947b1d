"""A stage is recorded with the parameters that it used, or it ends with an error: real `dvc repro`, tiny stages."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.config.stage_params import check_recorded_as
from pipeline.config.yaml_values import parse_yaml
from yolox_core.errors import InputError

PARAMS = "seed: 1 # kept\ntrain:\n  epochs: 30\nevaluate:\n  confidence: 0.01\n"
GRAPH = """
stages:
  train:
    cmd: {python} stage.py {edit}
    params: [seed, train]
    outs: [out: {{cache: false}}]
  later:
    cmd: {python} later.py
    deps: [out]
    params: [seed, train, evaluate]
    outs: [later: {{cache: false}}]
"""
STAGE = """
import sys
from pathlib import Path
from pipeline.config.params_file import read_params
from pipeline.console.exit_codes import refusals
from pipeline.stages.entrypoint import run_stage

def run(settings):
    before, (old, new) = Path("params.yaml").read_text(), sys.argv[1].split("=")
    Path("params.yaml").write_text(before.replace(old, new))
    Path("out").write_text(f"{settings.train.epochs} {read_params()['train']['epochs']}")

with refusals():
    run_stage(run)
"""
LATER = """
from pathlib import Path
from pipeline.config.stage_params import check_recorded_params
from pipeline.console.exit_codes import refusals
from pipeline.stages.entrypoint import run_stage

def run(settings):
    check_recorded_params()
    Path("later").write_text("done")

with refusals():
    run_stage(run)
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in (("params.yaml", PARAMS), ("stage.py", STAGE), ("later.py", LATER)):
        (tmp_path / name).write_text(text)
    assert dvc("init", "--no-scm", "--quiet")[0] == 0
    return tmp_path


def dvc(*words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "dvc", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    return done.returncode, done.stdout


def repro(project: Path, edit: str) -> tuple[int, str]:
    (project / "dvc.yaml").write_text(GRAPH.format(python=sys.executable, edit=edit))
    return dvc("repro")


def test_parameters_that_changed_meanwhile_are_not_recorded(project: Path) -> None:
    code, printed = repro(project, "30=2")
    assert code != 0 and printed.count("error: ") == 1
    assert (
        "expected the values that stage 'train' began with, got others at its end (train.epochs: 30, now 2)" in printed
    )
    assert not (project / "dvc.lock").exists()
    assert (project / "out").read_text() == "30 30"  # what was read once is read no other way


def test_an_edit_of_others_or_of_comments_alone_is_no_error(project: Path) -> None:
    for edit in ("0.01=0.5", "kept=still"):
        code, printed = repro(project, edit)
        assert code == 0, printed
    recorded = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    assert recorded["train"]["params"]["params.yaml"] == {"seed": 1, "train": {"epochs": 30}}
    assert recorded["later"]["params"]["params.yaml"]["evaluate"] == {"confidence": 0.5}


def test_who_states_what_others_used_compares_with_their_record(project: Path) -> None:
    """params.yaml is edited between two stages: here by the training's shell command, after the stage has ended."""
    (project / "dvc.yaml").write_text(
        GRAPH.format(python=sys.executable, edit="x=x").replace(
            "params: [seed, train]\n    outs: [out", "params: [seed]\n    outs: [out"
        )
    )
    code, printed = dvc("repro")
    assert code == 0, printed
    text = (project / "dvc.lock").read_text().replace("seed: 1", "seed: 2", 1)
    (project / "dvc.lock").write_text(text)  # as though the training had been another one's
    (project / "later").unlink()
    code, printed = dvc("repro", "--single-item", "later")
    assert code != 0 and "expected the values that stage 'train' ran with, got others (seed: 2, now 1)" in printed


def test_stages_that_come_later_or_are_unconcerned_may_still_have_the_values_of_an_earlier_run(project: Path) -> None:
    more = GRAPH + (
        "  last:\n    cmd: echo done > last\n    deps: [later]\n    params: [seed, train]\n    outs: [last]\n"
        "  aside:\n    cmd: echo done > aside\n    params: [seed]\n    outs: [aside]\n"
    )
    (project / "dvc.yaml").write_text(more.format(python=sys.executable, edit="x=x"))
    assert dvc("repro")[0] == 0
    (project / "params.yaml").write_text(PARAMS.replace("30", "40").replace("seed: 1", "seed: 5"))
    code, printed = dvc("repro", "last")
    assert code == 0, printed
    recorded = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    assert recorded["last"]["params"]["params.yaml"] == {"seed": 5, "train": {"epochs": 40}}


def test_a_run_compares_what_is_recorded_with_what_it_began_with(project: Path) -> None:
    assert repro(project, "x=x")[0] == 0
    check_recorded_as(parse_yaml(PARAMS))
    began_with = parse_yaml(PARAMS.replace("30", "29"))
    with pytest.raises(InputError, match=r"for 'train' \(train.epochs: 29, now 30\)"):
        check_recorded_as(began_with)


def test_by_hand_nothing_is_recorded_and_nothing_compared(project: Path) -> None:
    done = subprocess.run([sys.executable, "stage.py", "30=2"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
