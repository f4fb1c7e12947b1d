"""Every case has notes of what is right; each is held to them by a test of its rule beside this file."""

from pathlib import Path

from tests.data_foreign.reading import CASES, NOTES

HERE = Path(__file__).parent


def test_every_case_is_tested() -> None:
    cases = {str(notes.parent.relative_to(CASES)) for notes in CASES.rglob(NOTES)}
    tests = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py"))
    assert sorted(case for case in cases if f'"{case}"' not in tests) == []
