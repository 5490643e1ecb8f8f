"""The time that is left of a budget, by the clock."""

import time

import pytest

from forecast.training.plan import TrainingContext


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)


def test_without_a_deadline_no_time_runs_out() -> None:
    assert TrainingContext().seconds_left() is None


@pytest.mark.parametrize(("deadline", "left"), [(1030.0, 30.0), (1000.0, 0.0), (990.0, -10.0)])
def test_time_runs_out_by_the_clock(deadline: float, left: float) -> None:
    assert TrainingContext(deadline).seconds_left() == left
