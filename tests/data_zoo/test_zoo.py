"""Each kind of damage is found by its name, and is not there any more in the mended copy."""

from collections import Counter
from pathlib import Path

import pytest

from tests.data_zoo import annotations, images  # noqa: F401  # each adds its kinds
from tests.data_zoo.zoo import KINDS, Coco, Kind
from yolox_core.datasets.catalogue import CATALOGUE
from yolox_core.datasets.doctor import examine
from yolox_core.datasets.formats import read_dataset
from yolox_core.datasets.records import Finding
from yolox_core.datasets.repair import repair

INPUT_SIZE = 320


def found_in(root: Path, fixed: Path | None = None) -> list[Finding]:
    """What the doctor finds, and the mended copy in `fixed`."""
    records, unread = read_dataset(root)
    usable, wrong = examine(records, INPUT_SIZE)
    if fixed is not None:
        repair(usable, unread + wrong, fixed)
    return unread + wrong


def state(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_there_are_many_kinds() -> None:
    assert len(KINDS) >= 40 and len({one.name for one in KINDS}) == len(KINDS)


def test_nothing_but_few_objects_is_found_in_a_sound_set(tmp_path: Path) -> None:
    Coco(tmp_path).write()
    assert {finding.code for finding in found_in(tmp_path)} == {"few-objects"}


@pytest.mark.parametrize("one", KINDS, ids=lambda one: one.name)
def test_the_damage_is_found_by_name_and_mended(tmp_path: Path, one: Kind) -> None:
    root, fixed = tmp_path / "set", tmp_path / "fixed"
    root.mkdir()
    one.make(root)
    before = state(root)
    findings = found_in(root, fixed)
    counts = Counter(finding.code for finding in findings)
    assert counts[one.code] >= 1, [finding.line() for finding in findings]
    assert all("\n" not in finding.line() for finding in findings)
    assert state(root) == before, "the doctor only reads"
    again = Counter(finding.code for finding in found_in(fixed))
    left = {code for code in again if CATALOGUE[code].fixed}
    assert not left, left
    if not CATALOGUE[one.code].fixed:
        assert again[one.code] == counts[one.code]
