"""What the networks of a fit share beside data and settings: deadline, progress, checkpoints, parallel jobs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from forecast.training.plan import Candidate
from forecast.training.rehearsal import Rehearsal

Weights = dict[str, NDArray[Any]]  # of a network, by name


@dataclass(frozen=True)
class Checkpoint:
    """Where training stands: plain values, which JSON can hold, and arrays, both by name."""

    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]


class CheckpointStore(Protocol):
    """Stores checkpoints by name. It reports its own failures; training continues without."""

    def read(self, name: str) -> Checkpoint | None: ...
    def write(self, name: str, checkpoint: Checkpoint) -> None: ...


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
    on_step: OnStep | None = None  # called after each step of a network that is trained in this process
    checkpoints: CheckpointStore | None = None  # other processes write there too
    jobs: int = 1  # networks trained side by side
    first: int = 0  # index of the first network in the whole plan, for this round: seeds depend on it
    start_weights: list[Weights] | None = None  # that each network starts from; by default they are drawn
    seconds: Sequence[float] | None = None  # expected training time of each network; by default all take the same
    rehearsal: Rehearsal | None = None  # what training would take is added there, and nothing is trained

    def seconds_left(self) -> float | None:
        """Until the deadline; None without one."""
        clock = time.monotonic if self.rehearsal is None else self.rehearsal.clock
        return None if self.deadline is None else self.deadline - clock()


@dataclass(frozen=True)
class WarmStart:
    """Networks of an earlier fit that a fit continues."""

    candidates: list[Candidate]
    weights: list[Weights]  # of each network
    warm: int  # how many fits came before the new one, each continued by the next
    hash: str  # of the artifact that the networks come from
