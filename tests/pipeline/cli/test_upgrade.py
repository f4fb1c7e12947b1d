"""`yolox init --upgrade`: today's graph in an earlier project, and what the user wrote there stays."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.needs import ROOT
from tests.pipeline.cli.commands_project import Yolox, state

OWN = """\

  # counts what the cameras saw
  count:
    cmd: python count.py  # slow
    deps: [reports/detections.json]
"""


@pytest.fixture
def graph(yolox: Yolox, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The dvc.yaml of a new project, which is the current folder."""
    yolox("init", "mine")
    monkeypatch.chdir("mine")
    return Path("dvc.yaml")


def age(text: str) -> str:
    """As the release before wrote it."""
    return re.sub(r"cmd: yolox (\w+)", r"cmd: python -m pipeline.stages.\1", text)


def content(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_an_earlier_graph_becomes_todays(yolox: Yolox, graph: Path) -> None:
    today, params = graph.read_text(), Path("params.yaml").read_bytes()
    graph.write_text(age(today).replace("data/fingerprint.json\n", "data/print.json\n"))
    ended = yolox("init", "--upgrade")
    assert (ended.code, ended.line) == (0, "")
    assert "  ingest: cmd, deps\n" in ended.out and "  report: cmd\n" in ended.out and "fingerprint: cmd\n" in ended.out
    assert graph.read_text() == today
    assert Path("params.yaml").read_bytes() == params
    assert "up to date already" in yolox("init", "--upgrade").out


def test_what_the_user_added_stays(yolox: Yolox, graph: Path) -> None:
    today = content(graph)
    before = age(graph.read_text()).replace("\n  report:\n", f"{OWN}\n  report:\n")
    graph.write_text("vars: [mine.yaml]\n" + before + "- seen: {y: {reports/seen.csv: [count]}}\n")
    assert yolox("init", "--upgrade").code == 0
    assert OWN.strip() in graph.read_text()
    upgraded = content(graph)
    assert upgraded["vars"] == ["mine.yaml"]
    assert upgraded["plots"] == [*today["plots"], {"seen": {"y": {"reports/seen.csv": ["count"]}}}]
    assert list(upgraded["stages"]) == [*list(today["stages"])[:-1], "count", "report"]
    del upgraded["stages"]["count"]
    assert upgraded["stages"] == today["stages"]


def test_a_stage_that_came_and_a_setting_that_went(yolox: Yolox, graph: Path) -> None:
    today, earlier = content(graph), content(graph)
    del earlier["stages"]["export"], earlier["plots"]
    earlier["stages"]["train"]["frozen"] = True
    graph.write_text(yaml.safe_dump(earlier, sort_keys=False))
    ended = yolox("init", "--upgrade")
    assert "  train: frozen\n  export: new\n  plots\n" in ended.out
    assert content(graph) == today and list(content(graph)["stages"]) == list(today["stages"])


def test_another_folder_may_be_named(yolox: Yolox, graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    today = graph.read_text()
    graph.write_text(age(today))
    monkeypatch.chdir("..")
    assert yolox("init", "mine", "--upgrade").code == 0
    assert Path("mine/dvc.yaml").read_text() == today


@pytest.mark.parametrize(
    ("words", "text", "said"),
    [
        (("--upgrade",), None, ("dvc.yaml: no such file", "yolox init FOLDER")),
        (("--upgrade",), (ROOT / "dvc.yaml").read_text(encoding="utf-8"), ("without the stage 'package'",)),
        (("--upgrade",), "stages: [", ("expected YAML",)),
        (("--upgrade",), "plots", ("expected the graph of a project",)),
        (("--upgrade", "--preset", "few-images"), None, ("neither --data nor --preset",)),
        ((), None, ("FOLDER: expected the folder",)),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(
    yolox: Yolox, words: tuple[str, ...], text: str | None, said: tuple[str, ...]
) -> None:
    if text is not None:
        Path("dvc.yaml").write_text(text, encoding="utf-8")
    before = state(Path())
    yolox("init", *words).refused(*said)
    assert state(Path()) == before
