"""A rehearsed fit counts the training that it leaves out."""

import math
import time

from forecast.training.plan import Member
from forecast.training.rehearsal import PlannedNetwork, Rehearsal


def network(seconds: float) -> PlannedNetwork:
    member = Member(model="gru", lookback=4, batch_size=8, steps=10, refit_steps=2, validate_every=5)
    return PlannedNetwork(member, 1, 100, seconds)


def test_processes_train_side_by_side_and_start_late() -> None:
    rehearsal = Rehearsal()
    rehearsal.add([network(5.0), network(2.0), network(2.0)], [[0], [1, 2]], 2.5, math.inf)
    assert rehearsal.seconds == 6.5
    assert rehearsal.processes == 1
    rehearsal.add([network(3.0)], [[0]], 2.5, math.inf)
    assert rehearsal.seconds == 9.5
    assert len(rehearsal.networks) == 4


def test_a_deadline_cuts_training() -> None:
    rehearsal = Rehearsal()
    rehearsal.add([network(50.0)], [[0]], 2.5, 8.0)
    assert rehearsal.seconds == 8.0


def test_the_clock_tells_when_training_would_be_over() -> None:
    rehearsal = Rehearsal(seconds=100.0, spent=3.0)
    assert abs(rehearsal.clock() - time.monotonic() - 97.0) < 5.0
    assert rehearsal.busy() >= 1.0
