"""A space is refused in one line before anything starts, or every trial of it is legal."""

from typing import Any

import pytest

from pipeline.config.settings import settings_from
from pipeline.sweep.read_space import read_space
from pipeline.sweep.space import Range, Space, grace_epochs, known_parameters
from yolox_core.errors import InputError

PLAIN: dict[str, Any] = {
    "model": {"size": "nano", "width": 0.25},
    "train": {"epochs": 8, "closing_epochs": 2, "warmup_epochs": 1, "batch_size": 4, "input_size": 96},
}


def space_of(space: Any = None, plain: dict[str, Any] | None = None, **sweep: Any) -> Space:
    whole = {**(plain or PLAIN), "sweep": {"space": {"model.width": [0.25]} if space is None else space, **sweep}}
    return read_space(settings_from(whole), whole)


def test_a_grid_is_the_product() -> None:
    space = space_of({"model.width": [0.125, 0.25, 0.375], "model.depth": [0.33, 0.67]})
    grid = space.grid()
    assert len(grid) == 6 and len({tuple(values.items()) for values in grid}) == 6
    made = space.settings({"model.width": 0.375, "model.depth": 0.67})
    assert (made.model.width, made.model.depth, made.train.evaluate_every) == (0.375, 0.67, 1)


def test_base_is_under_every_trial_and_patience_is_off() -> None:
    plain = {**PLAIN, "train": PLAIN["train"] | {"patience": 3}}
    made = space_of(plain=plain, base={"train.epochs": 6}).settings({"seed": 4})
    assert (made.train.epochs, made.train.patience, made.seed) == (6, None, 4)


@pytest.mark.parametrize(
    ("space", "line"),
    [
        ({}, "sweep.space: expected at least one parameter"),
        ({"model.widht": [0.25]}, "unknown parameter 'model.widht'. Did you mean 'model.width'"),
        ({"data.source": ["a"]}, "unknown parameter 'data.source'"),
        ({"model.width": []}, "sweep.space.model.width: expected a list of values"),
        ({"model.width": 0.25}, "sweep.space.model.width: expected a list of values"),
        ({"model.width": [0.3]}, "expected multiples of 1/8, got 0.3. Nearest legal: 0.25 or 0.375"),
        ({"model.width": [0.25, 0.25]}, "each value once"),
        ({"model.depth": [0.1]}, "model.depth: expected round(3 * depth) of at least 1"),
        ({"assign.center_radius": [-1.0]}, "assign.center_radius: expected more than 0 strides"),
        ({"assign.rule": ["yolox-2022"]}, "assign.rule: expected one of yolox-2021, yolox-2023"),
        ({"train.learning_rate": ["fast"]}, "train.learning_rate: expected a number"),
        ({"train.freeze": [["nonsense"]]}, "nonsense"),
        ({"augment.albumentations": [[{"name": "Nope"}]]}, "Nope"),
        ({"model.weights": ["a.pt"]}, "sweep.space.model.weights: expected another parameter"),
        ({"train.epochs": [4, 8]}, "sweep.space.train.epochs: expected another parameter: trials are compared"),
        ({"assign.center_radius": {"low": 1.0, "high": 2.0}}, "expected values for a grid, got a range"),
    ],
)
def test_what_no_trial_could_use_is_refused(space: Any, line: str) -> None:
    with pytest.raises(InputError) as refused:
        space_of(space)
    assert line in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"low": 2.0, "high": 1.0}, "expected low < high"),
        ({"low": 0.0, "high": 1.0, "log": True}, "expected low < high (above 0 where log)"),
        ({"low": 1.0}, "expected low < high"),
        ({"low": 1.0, "high": 2.0, "step": 1}, "expected low, high and log, got 'step'"),
        ({"low": True, "high": 2.0}, "expected low < high"),
        ({"low": -1.0, "high": 2.0}, "assign.center_radius: expected more than 0 strides"),
    ],
)
def test_a_range_that_cannot_be_drawn_from_is_refused(entry: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as refused:
        space_of({"assign.center_radius": entry}, search="random")
    assert line in str(refused.value)


def test_a_range_of_what_is_legal_in_steps_alone_is_refused() -> None:
    with pytest.raises(InputError, match=r"sweep\.space\.model\.width: expected a list of values, got a range"):
        space_of({"model.width": {"low": 0.1, "high": 1.0}}, search="random")
    space = space_of({"assign.center_radius": {"low": 1, "high": 4}}, search="random")
    assert space.entries == {"assign.center_radius": Range(1.0, 4.0)}


@pytest.mark.parametrize(
    ("sweep", "line"),
    [
        ({"base": {"train.epochz": 3}}, "sweep.base: unknown parameter 'train.epochz'"),
        ({"base": {"train.epochs": 3}}, "sweep.grace_epochs: expected fewer than the 3 epochs of a trial, got 3"),
        ({"grace_epochs": 8}, "sweep.grace_epochs: expected fewer than the 8 epochs"),
        ({"reduction": 1}, "sweep.reduction: expected at least 2"),
        ({"seeds": 1}, "sweep.seeds: expected at least 2"),
        ({"val": 0.0}, "sweep.val: expected a share"),
        ({"objectives": ["gflops"]}, "sweep.objectives: expected map first"),
        ({"objectives": ["map", "flops"]}, "expected one of map, parameters, gflops, latency_ms"),
        ({"search": "rendom"}, "sweep.search: expected one of grid, random, tpe, got 'rendom'. Did you mean 'random'?"),
        ({"search": "tpe"}, "expected for tpe early_stopping: false"),
        (
            {"search": "tpe", "early_stopping": False, "objectives": ["map", "latency_ms"]},
            "no latency_ms among the objectives",
        ),
        ({"base": {"model.weights": "a.pt"}}, "sweep.base.model.weights: expected another parameter"),
        ({"serach": "grid"}, "unknown parameter 'sweep.serach'"),
    ],
)
def test_a_sweep_that_could_not_end_well_is_refused(sweep: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as refused:
        space_of(**sweep)
    assert line in str(refused.value)


def test_architecture_is_not_searched_from_weights_of_one() -> None:
    plain = {**PLAIN, "model": {"weights": "somewhere"}}
    with pytest.raises(InputError, match=r"expected no architecture beside model\.weights"):
        space_of({"model.width": [0.25, 0.5]}, plain)
    assert space_of({"assign.center_radius": [1.0, 2.0]}, plain).grid()


def test_combinations_are_checked_and_not_only_values() -> None:
    with pytest.raises(InputError, match="multiples of 32"):
        space_of({"train.input_size": [96, 100]})
    known = known_parameters()
    assert "loss.class" in known and "train.learning_rate" in known and len(set(known)) == len(known)


def test_grace_is_past_the_warm_up() -> None:
    settings = settings_from({**PLAIN, "sweep": {"space": {"model.width": [0.25]}}})
    assert grace_epochs(settings, space_of()) == 3
