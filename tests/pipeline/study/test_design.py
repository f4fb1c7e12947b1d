"""A study's plan: a fraction of the factorial with the aliases it states, and mistakes refused before anything runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.study.design import LEVELS, Level, read_study
from yolox_core.errors import InputError

SHIPPED = Path(__file__).parents[3] / "pipeline" / "study" / "tiny_vs_small.yaml"


def sign(level: Level) -> int:
    return 2 * LEVELS.index(level) - 1


def test_the_shipped_study_is_the_fraction_that_it_says() -> None:
    study = read_study(SHIPPED)
    cells = study.cells()
    assert len(cells) == 9 and len({tuple(cell.values()) for cell in cells}) == 9
    assert dict.fromkeys(study.factors, "high") in cells[:8] and cells[8] == dict.fromkeys(study.factors, "low")
    for cell in cells[:8]:
        width, sizes, test, mosaic, mixup = (sign(cell[name]) for name in study.factors)
        assert mosaic == width * sizes and mixup == width * test
        assert sizes * test == mosaic * mixup  # the alias that the file names
    for name in study.factors:
        assert sum(sign(cell[name]) for cell in cells[:8]) == 0
    assert len(study.plan()) == 45 and len({run.key for run in study.plan()}) == 45


def test_levels_are_the_stock_recipes() -> None:
    runs = {run.key: run for run in read_study(SHIPPED).plan()}
    tiny, small = (runs[f"raccoon/{levels}/2"].settings for levels in ("lllll", "hhhhh"))
    assert (tiny.recipe(1).model.width, small.recipe(1).model.width) == (0.375, 0.5)
    assert tiny.recipe(1).model.depth == small.recipe(1).model.depth == 0.33
    assert (tiny.train.input_size, small.train.input_size) == ((416, 416), (640, 640))
    assert (tiny.augment.multiscale, small.augment.multiscale) == ((320, 640), (480, 800))
    assert (tiny.augment.mixup, small.augment.mixup, tiny.seed) == (0.0, 1.0, 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"factor": {}}, "got 'factor'. Did you mean 'factors'"),
        ({"factors": {"width": {"model.wdth": [0.375, 0.5]}}, "generators": {}}, "wdth.*Did you mean 'width'"),
        ({"factors": {"width": {"model.width": [0.375, 0.51]}}, "generators": {}}, "model.width: .*multiple of 1/64"),
        ({"factors": {"width": {"model.width": 0.5}}, "generators": {}}, "factors.width: expected parameters with two"),
        ({"factors": {}}, "factors: expected at least one"),
        ({"generators": {"mixup": ["width", "colour"]}}, "generators.mixup: .*got 'colour'"),
        ({"generators": {"mixup": ["mosaic_scale"], "mosaic_scale": ["width"]}}, "got 'mosaic_scale'"),
        ({"seeds": [1, 1]}, "seeds: .*each once"),
        ({"extra": ["lowest"]}, "extra: expected `low`"),
    ],
    ids=str,
)
def test_a_mistake_is_refused_by_name(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(SHIPPED.read_text()) | change))
    with pytest.raises(InputError, match=message):
        read_study(path)
