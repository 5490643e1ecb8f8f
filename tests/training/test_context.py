"""The time that is left of a budget, by the clock, or after what a dry run counts for training."""

import time

import pytest

from forecast.training.context import Rehearsal, TrainingContext


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)


def test_without_a_deadline_no_time_runs_out() -> None:
    assert TrainingContext().seconds_left() is None
    assert TrainingContext(rehearsal=Rehearsal()).seconds_left() is None


@pytest.mark.parametrize(("deadline", "left"), [(1030.0, 30.0), (1000.0, 0.0), (990.0, -10.0)])
def test_time_runs_out_by_the_clock(deadline: float, left: float) -> None:
    assert TrainingContext(deadline).seconds_left() == left


def test_a_dry_run_spends_the_time_that_training_would_take() -> None:
    rehearsal = Rehearsal(seconds=15.0)
    assert TrainingContext(1030.0, rehearsal=rehearsal).seconds_left() == 15.0
    assert rehearsal.clock() == 1015.0
