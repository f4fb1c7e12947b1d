"""Each kind of damage is found by its name, and is not there any more in the mended copy."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.checks.catalog import CATALOG
from pipeline.data.checks.doctor import examine
from pipeline.data.checks.repair import repair
from pipeline.data.formats.read import read_dataset
from pipeline.data.parsing.findings import Finding
from tests.data_zoo import annotations, images  # noqa: F401  # each adds its kinds
from tests.data_zoo.zoo import KINDS, Coco, Kind
from yolox_core.data.image_io import read_image
from yolox_core.data.records import DatasetRecords, described

INPUT_SIZE = 320


def found_in(root: Path, fixed: Path | None = None) -> list[Finding]:
    """What the doctor finds, and the mended copy in `fixed`."""
    records, unread = read_dataset(root)
    usable, wrong = examine(records, INPUT_SIZE)
    if fixed is not None:
        changes = repair(records, usable, unread + wrong, fixed)
        copies = sum(change["code"] == "image-duplicate" for change in changes)
        _same(usable, read_dataset(fixed)[0], copies)
    return unread + wrong


def _same(usable: DatasetRecords, mended: DatasetRecords, copies: int) -> None:
    """The copy holds all that can be used, but for copies: every image with its pixels, every box of every class."""
    assert len(mended.images) == len(usable.images) - copies
    assert (mended.class_names, mended.category_ids) == (usable.class_names, usable.category_ids)
    of_id = {record.image_id: record for record in usable.images}
    for record in mended.images:
        before = of_id[record.image_id]
        assert described(record, mended.class_names) == described(before, usable.class_names)
        assert record.split == before.split
        if mended.path(record).read_bytes() == usable.path(before).read_bytes():
            continue
        one, other = read_image(mended.path(record)), read_image(usable.path(before))
        assert one.shape == other.shape and np.abs(one.astype(int) - other).mean() < 3  # JPEG, written again


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
    left = {code for code in again if CATALOG[code].fixed}
    assert not left, left
    if not CATALOG[one.code].fixed:
        assert again[one.code] == counts[one.code]
