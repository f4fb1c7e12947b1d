"""A study's images have a name: today's, and the one that rows made before carry, so that those rows stay valid."""

from pathlib import Path

import pytest

from pipeline.study.data import data_digests, rendered
from pipeline.study.design import read_study
from pipeline.study.rows import read_rows, standing
from tests.needs import ROOT
from yolox_core.errors import InputError

PLANTED = ROOT / "pipeline" / "study" / "planted.yaml"
ROWS = Path(__file__).with_name("planted.jsonl")  # made when a study's data were named by another rule


@pytest.fixture
def scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The scenes that those rows were made of."""
    monkeypatch.chdir(tmp_path)
    synthetic = read_study(PLANTED).data["scenes"].synthetic
    assert synthetic is not None
    return rendered(synthetic)


def test_rows_of_before_are_of_these_images(scenes: Path) -> None:
    today, before = data_digests(scenes)
    assert {row["data_digest"] for row in read_rows(ROWS)} == {before} != {today}
    assert not standing(read_study(PLANTED), ROWS, {"scenes": (today, before)}).missing
    with pytest.raises(InputError, match=f"not {today}"):
        standing(read_study(PLANTED), ROWS, {"scenes": (today,)})


def test_another_image_or_box_is_other_data(scenes: Path) -> None:
    digests = {data_digests(scenes)}
    annotations = scenes / "annotations.json"
    text = annotations.read_text()
    at = text.index('"bbox": [') + len('"bbox": [')
    annotations.write_text(f"{text[:at]}0.5{text[text.index(',', at) :]}")
    digests.add(data_digests(scenes))
    annotations.write_text(text)
    one, other = sorted((scenes / "images").iterdir())[:2]
    one.write_bytes(other.read_bytes())
    digests.add(data_digests(scenes))
    assert len({today for today, _ in digests}) == len({before for _, before in digests}) == 3
