"""What a fit would train, and how long that would take: a fit that is rehearsed does all but train."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from forecast.training.plan import Member


@dataclass(frozen=True)
class PlannedNetwork:
    """A network that would be trained.

    Attributes
    ----------
    member : with the schedule of its training
    round : from 1; networks of one round train side by side
    weights : numbers that it learns
    seconds : of its training, on one core
    """

    member: Member
    round: int
    weights: int
    seconds: float


@dataclass
class Rehearsal:
    """The training that a fit would do.

    Attributes
    ----------
    networks : in the order of their training
    windows : that networks train on; with the newest values too; and held out
    seconds : of training, by the clock
    spent : seconds of the rehearsal that a fit does not spend
    processes : that train beside the one that fits, at most
    begun : `time.monotonic()` and `time.process_time()` at its beginning
    """

    networks: list[PlannedNetwork] = field(default_factory=list)
    windows: tuple[int, int, int] = (0, 0, 0)
    seconds: float = 0.0
    spent: float = 0.0
    processes: int = 0
    begun: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), time.process_time()))

    def clock(self) -> float:
        """What `time.monotonic()` would be if the networks had been trained."""
        return time.monotonic() + self.seconds - self.spent

    def busy(self) -> float:
        """How many times as long work takes by the clock as its processor needs; more than 1 on a busy machine."""
        clock, processor = self.begun
        return max(1.0, (time.monotonic() - clock) / max(time.process_time() - processor, 1e-3))

    def add(
        self, networks: Sequence[PlannedNetwork], schedule: Sequence[Sequence[int]], start: float, most: float
    ) -> None:
        """Add a round.

        Parameters
        ----------
        schedule : the networks that each process trains, by number; the first one is there already
        start : seconds that another process takes to start
        most : seconds that are left, after which training is cut
        """
        here, *others = (sum(networks[number].seconds for number in worker) for worker in schedule)
        self.networks += networks
        self.seconds += min(max([here, *(start + seconds for seconds in others)]), most)
        self.processes = max(self.processes, len(others))
