"""What the networks of a fit share beside data and settings: deadline, progress, checkpoints, parallel jobs."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from numpy.typing import NDArray

from forecast.artifacts.checkpoints import Checkpoint
from forecast.training.plan import PROCESS_START, Candidate, Member

Weights = dict[str, NDArray[Any]]  # of a network, by name


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
class PlannedNetwork:
    member: Member
    round: int  # from 1; networks of one round train side by side
    weights: int  # numbers that it learns
    seconds: float  # of its training, on one core


@dataclass
class Rehearsal:
    """What a fit would train, and how long that would take: a fit that is rehearsed does all but train."""

    networks: list[PlannedNetwork] = field(default_factory=list)
    windows: tuple[int, int, int] = (
        0,
        0,
        0,
    )  # that networks train on; with the newest values too; and held out
    seconds: float = 0.0  # of training, by the clock
    spent: float = 0.0  # seconds of the rehearsal that a fit does not spend
    processes: int = 0  # that train beside the one that fits, at most
    speed: float | None = None  # measured seconds of a step over estimated ones
    begun: tuple[float, float] = field(
        default_factory=lambda: (time.monotonic(), time.process_time())
    )

    def clock(self) -> float:
        """What `time.monotonic()` would be if the networks had been trained."""
        return time.monotonic() + self.seconds - self.spent

    def busy(self) -> float:
        """How many times as long work takes by the clock as its processor needs; more than 1 on a busy machine."""
        clock, processor = self.begun
        return max(1.0, (time.monotonic() - clock) / max(time.process_time() - processor, 1e-3))

    def add(
        self,
        networks: list[PlannedNetwork],
        schedule: Sequence[list[int]],
        left: float | None = None,
    ) -> None:
        """Add a round of networks, by number as each process trains them; training is cut after `left` seconds."""
        here, *others = (
            sum(networks[number].seconds for number in numbers) for numbers in schedule
        )
        self.networks += networks
        longest = max([here, *(PROCESS_START * self.busy() + seconds for seconds in others)])
        self.seconds += min(longest, math.inf if left is None else max(left, 0.0))
        self.processes = max(self.processes, len(others))


@dataclass(frozen=True)
class TrainingContext:
    deadline: float | None = None  # `time.monotonic()` at which training must be over
    on_step: OnStep | None = (
        None  # called after each step of a network that is trained in this process
    )
    checkpoints: CheckpointStore | None = None  # other processes write there too
    jobs: int = 1  # networks trained side by side
    first: int = (
        0  # index of the first network in the whole plan, for this round: seeds depend on it
    )
    start_weights: list[Weights] | None = (
        None  # that each network starts from; by default they are drawn
    )
    seconds: Sequence[float] | None = (
        None  # expected training time of each network; by default all take the same
    )
    rehearsal: Rehearsal | None = (
        None  # what training would take is added there, and nothing is trained
    )

    def seconds_left(self) -> float | None:
        """Until the deadline; None without one."""
        clock = time.monotonic if self.rehearsal is None else self.rehearsal.clock
        return None if self.deadline is None else self.deadline - clock()


@dataclass(frozen=True)
class WarmStart:
    candidates: list[Candidate]
    weights: list[Weights]  # of each network
    warm: int  # how many fits came before the new one, each continued by the next
    hash: str  # of the artifact that the networks come from
