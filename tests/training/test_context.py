"""The time that is left of a budget, by the clock, or by what a rehearsal counts in the place of training."""

import time

import pytest

from forecast.training.context import PlannedNetwork, Rehearsal, TrainingContext
from forecast.training.plan import PROCESS_START, Member


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)


def test_without_a_deadline_no_time_runs_out() -> None:
    assert TrainingContext().seconds_left() is None
    assert TrainingContext(rehearsal=Rehearsal()).seconds_left() is None


@pytest.mark.parametrize(("deadline", "left"), [(1030.0, 30.0), (1000.0, 0.0), (990.0, -10.0)])
def test_time_runs_out_by_the_clock(deadline: float, left: float) -> None:
    assert TrainingContext(deadline).seconds_left() == left


def test_a_rehearsal_spends_the_time_that_training_would_take_and_not_its_own() -> None:
    rehearsal = Rehearsal(seconds=20.0, spent=5.0)
    assert TrainingContext(1030.0, rehearsal=rehearsal).seconds_left() == 15.0


def network(seconds: float) -> PlannedNetwork:
    member = Member(
        model="gru", lookback=4, batch_size=8, steps=10, refit_steps=2, validate_every=5
    )
    return PlannedNetwork(member, 1, 100, seconds)


@pytest.fixture
def rehearsal(monkeypatch: pytest.MonkeyPatch) -> Rehearsal:
    """On a machine that does nothing else."""
    monkeypatch.setattr(Rehearsal, "busy", lambda self: 1.0)
    return Rehearsal()


def test_processes_train_side_by_side_and_start_late(rehearsal: Rehearsal) -> None:
    rehearsal.add([network(5.0), network(2.0), network(2.0)], [[0], [1, 2]])
    assert rehearsal.seconds == 4.0 + PROCESS_START
    assert rehearsal.processes == 1
    rehearsal.add([network(3.0)], [[0]])
    assert rehearsal.seconds == 7.0 + PROCESS_START
    assert len(rehearsal.networks) == 4


@pytest.mark.parametrize(("left", "seconds"), [(8.0, 8.0), (-1.0, 0.0)])
def test_a_deadline_cuts_training(rehearsal: Rehearsal, left: float, seconds: float) -> None:
    rehearsal.add([network(50.0)], [[0]], left)
    assert rehearsal.seconds == seconds


def test_the_clock_tells_when_training_would_be_over() -> None:
    rehearsal = Rehearsal(seconds=100.0, spent=3.0)
    assert rehearsal.clock() == 1097.0
    assert rehearsal.busy() >= 1.0
