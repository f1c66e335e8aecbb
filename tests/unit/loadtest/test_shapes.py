"""Users over time."""

import pytest

from loadtest.errors import LoadTestError
from loadtest.shapes import USER_PERIOD_S, Plan, Shape


def test_a_steady_load_keeps_the_users_that_its_rate_needs() -> None:
    plan = Plan(Shape.STEADY, seconds=30.0, rate_per_s=10.0)
    assert plan.users_at(0.0) == plan.users_at(29.9) == 10.0 * USER_PERIOD_S


def test_a_ramp_grows_to_its_rate() -> None:
    plan = Plan(Shape.RAMP, seconds=10.0, rate_per_s=20.0)
    users = [plan.users_at(second + 0.5) or 0 for second in range(10)]
    assert users == sorted(users)
    assert users[0] == 2.0 * USER_PERIOD_S
    assert users[-1] == 20.0 * USER_PERIOD_S


def test_bursts_have_one_conductor() -> None:
    assert Plan(Shape.BURST, seconds=10.0).users_at(3.0) == 1


def test_every_shape_ends() -> None:
    assert all(Plan(shape, seconds=10.0).users_at(10.0) is None for shape in Shape)


def test_a_load_of_nothing_is_refused() -> None:
    with pytest.raises(LoadTestError, match="steady"):
        Plan(Shape.STEADY, seconds=10.0, rate_per_s=0.0)
