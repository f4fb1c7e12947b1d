"""The environments that users have; the table: `python -m tests.environments --all`."""

import pytest

from tests import needs
from tests.environments import ENVIRONMENTS, WITHIN_S, run


def cases(quick: bool) -> list[str]:
    return [name for name, environment in ENVIRONMENTS.items() if environment.quick is quick]


def comes_to_its_stage(name: str) -> None:
    for right in ENVIRONMENTS[name].rights:
        needs.right(right)
    outcome = run(name)
    assert outcome.is_well, f"{outcome.said}\n{outcome.output[-6000:]}"


@pytest.mark.ray
@pytest.mark.training
@pytest.mark.parametrize("name", cases(quick=True))
def test_the_pipeline_runs_in(name: str) -> None:
    comes_to_its_stage(name)


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.training
@pytest.mark.timeout(3 * WITHIN_S)
@pytest.mark.parametrize("name", cases(quick=False))
def test_the_pipeline_runs_to_a_later_stage_in(name: str) -> None:
    comes_to_its_stage(name)
