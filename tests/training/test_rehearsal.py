"""A rehearsed fit counts the training that it leaves out."""

import time

import pytest

from forecast.training.context import PlannedNetwork, Rehearsal
from forecast.training.plan import PROCESS_START, Member


def network(seconds: float) -> PlannedNetwork:
    member = Member(model="gru", lookback=4, batch_size=8, steps=10, refit_steps=2, validate_every=5)
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
    assert abs(rehearsal.clock() - time.monotonic() - 97.0) < 5.0
    assert rehearsal.busy() >= 1.0
