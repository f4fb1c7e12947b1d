"""The rule that a skip must name something that is missing, and that a named thing which is there fails the run."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import conftest, needs


@pytest.mark.parametrize(
    ("reason", "present"),
    [
        ("Skipped: needs path /nowhere/at all: GOLDEN_DIR is not set", False),
        (f"Skipped: needs path {Path(__file__).parent}: WEIGHTS_DIR is not set", True),
        ("Skipped: needs module no_such_module: not installed", False),
        ("Skipped: needs module json: not installed", True),
        ("Skipped: needs right no-such-right: this user may not", False),
        ("Skipped: needs right everybodys: this user may not", True),
        ("Skipped: later", True),  # a skip that names no need is never excused
    ],
)
def test_a_skip_stands_only_where_its_need_is_absent(
    reason: str, present: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, granted in (("no-such-right", False), ("everybodys", True)):
        monkeypatch.setitem(needs.RIGHTS, name, lambda granted=granted: granted)
    assert needs.is_present(reason) is present
    report = SimpleNamespace(skipped=True, outcome="skipped", longrepr=("file.py", 1, reason))
    assert conftest.refuse_idle_skip(report, strict=True).outcome == ("failed" if present else "skipped")


def test_without_ci_every_skip_stands() -> None:
    report = SimpleNamespace(skipped=True, outcome="skipped", longrepr=("file.py", 1, "Skipped: later"))
    assert conftest.refuse_idle_skip(report, strict=False).outcome == "skipped"


def test_an_expected_failure_is_no_skip() -> None:
    report = SimpleNamespace(skipped=True, outcome="skipped", longrepr="", wasxfail="known")
    assert conftest.refuse_idle_skip(report, strict=True).outcome == "skipped"


def test_a_folder_named_by_the_environment_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GOLDEN_DIR", str(tmp_path / "absent"))
    with pytest.raises(pytest.fail.Exception, match="expected a folder"):
        needs.shared_folder("golden")
    monkeypatch.setenv("GOLDEN_DIR", str(tmp_path))
    assert needs.shared_folder("golden") == tmp_path


def test_an_absent_shared_folder_skips_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("GOLDEN_DIR", raising=False)
    monkeypatch.setattr(needs, "SHARED", tmp_path / "absent")
    with pytest.raises(pytest.skip.Exception, match="GOLDEN_DIR is not set"):
        needs.shared_folder("golden")
