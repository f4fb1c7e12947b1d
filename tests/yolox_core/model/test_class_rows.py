"""Class layers from weights with other classes: rows by name."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from yolox_core.config import BY_POSITION, DetectorSpec, ModelConfig
from yolox_core.errors import InputError
from yolox_core.model.class_rows import class_rows_of
from yolox_core.model.weights import Weights, load_weights
from yolox_core.model.yolox import YOLOX, build_model

SMALL = ModelConfig(num_classes=3, width=0.125)
NAMES = ("cat", "dog", "hen")
OWN = "head.cls_preds.0.weight"


def weights_of(names: Sequence[str], seed: int = 4) -> Weights:
    """Weights of a detector with these classes, whose class layers differ from fresh ones."""
    config = replace(SMALL, num_classes=len(names))
    model = build_model(config, seed=seed)
    spec = DetectorSpec(config, tuple(names), tuple(range(1, len(names) + 1)), (64, 64))
    return Weights(spec, model.state_dict(), "the weights")


def model_of(names: Sequence[str]) -> YOLOX:
    return build_model(replace(SMALL, num_classes=len(names)), seed=9)


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (("cat", "dog", "hen", "cow"), {0: 0, 1: 1, 2: 2}),  # one added
        (("hen", "cat"), {0: 2, 1: 0}),  # one removed, the others in another order
        (("dog", "cat", "hen"), {0: 1, 1: 0, 2: 2}),  # reordered alone
        (("Cat", "HEN", "cow"), {0: 0, 1: 2}),  # in another case
        (("\uff43at", "cow"), {0: 0}),  # in another form of Unicode
        (("cat", "Cat", "cow"), {0: 0}),  # the exact one counts, and only once
        (("cow", "pig", "ass"), {}),  # others, as many
    ],
)
def test_rows_are_taken_by_name(names: Sequence[str], rows: dict[int, int]) -> None:
    weights, model = weights_of(NAMES), model_of(names)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    report = load_weights(model, weights, names)
    assert dict(report.classes.rows) == rows
    for level in range(3):
        for kind in ("weight", "bias"):
            name = f"head.cls_preds.{level}.{kind}"
            for own in range(len(names)):
                expected = weights.state[name][rows[own]] if own in rows else before[name][own]
                assert torch.equal(model.state_dict()[name][own], expected)
    assert torch.equal(model.state_dict()["head.stems.0.conv.weight"], weights.state["head.stems.0.conv.weight"])


def test_the_report_says_which() -> None:
    report = load_weights(model_of(("Cat", "cow")), weights_of(NAMES), ("Cat", "cow"))
    assert report.lines()[-1].strip() == "class layers: taken Cat (there cat); fresh cow; 2 unused"
    assert report.to_dict()["classes"] == {"taken": {"Cat": "cat"}, "why_none": ""}
    report = load_weights(model_of(("cow",)), weights_of(NAMES), ("cow",))
    assert report.to_dict()["classes"]["why_none"].startswith("no class of the data is one of the weights: cat, dog")


@pytest.mark.parametrize("unnamed", ["data", "weights"])
def test_without_names_on_one_side_rows_are_fresh_unless_they_are_asked_for_by_position(unnamed: str) -> None:
    bare = tuple(f"class_{index}" for index in range(3))
    theirs, names = (bare, NAMES) if unnamed == "weights" else (NAMES, bare)
    weights, model = weights_of(theirs), model_of(names)
    assert not load_weights(model, weights, names).classes.rows
    assert not torch.equal(model.state_dict()[OWN], weights.state[OWN])
    assert load_weights(model, weights, names, BY_POSITION).classes.rows == {0: 0, 1: 1, 2: 2}
    assert torch.equal(model.state_dict()[OWN], weights.state[OWN])


def test_by_position_wants_as_many_classes() -> None:
    with pytest.raises(InputError, match="expected as many classes as the weights have for position, 3, got 4"):
        load_weights(model_of("abcd"), weights_of(NAMES), tuple("abcd"), BY_POSITION)


def test_where_nobody_says_as_many_classes_are_the_same() -> None:
    assert class_rows_of(None, NAMES, 3, None).rows == {0: 0, 1: 1, 2: 2}
    assert not class_rows_of(None, NAMES, 4, None).rows
