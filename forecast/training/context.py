"""What the networks of a fit share: deadline, progress, number of jobs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from forecast.training.plan import Candidate

Weights = dict[str, NDArray[Any]]  # of a network, by name


@dataclass(frozen=True)
class Progress:
    """Where a fit stands; `loss` is that of the last training batch."""

    member: int
    step: int
    steps: int
    loss: float
    validation: float | None


OnStep = Callable[[Progress], None]


@dataclass(frozen=True)
class TrainingContext:
    deadline: float | None = None  # `time.monotonic()` at which training must be over
    on_step: OnStep | None = None  # called after each step of a network in this process
    jobs: int = 1  # networks trained side by side
    first: int = 0  # number of the first network in the whole plan: seeds depend on it
    # weights that each network starts from; by default they are drawn at random
    start_weights: list[Weights] | None = None
    # expected for the training of each network; by default all are the same
    seconds: Sequence[float] | None = None

    def seconds_left(self) -> float | None:
        """The seconds until the deadline, or None without one."""
        if self.deadline is None:
            return None
        return self.deadline - time.monotonic()


@dataclass(frozen=True)
class WarmStart:
    """Networks of an earlier fit, from which a new fit continues."""

    candidates: list[Candidate]
    weights: list[Weights]  # of each network
    warm: int  # how many fits came before the new one, each continued by the next
    hash: str  # of the artifact that the networks come from
