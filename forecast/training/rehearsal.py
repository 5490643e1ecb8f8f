"""What a fit would train, and how long that would take: a fit that is rehearsed does all but train."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from forecast.training.plan import PROCESS_START, Member


@dataclass(frozen=True)
class PlannedNetwork:
    member: Member
    round: int  # from 1; networks of one round train side by side
    weights: int  # numbers that it learns
    seconds: float  # of its training, on one core


@dataclass
class Rehearsal:
    networks: list[PlannedNetwork] = field(default_factory=list)
    windows: tuple[int, int, int] = (0, 0, 0)  # that networks train on; with the newest values too; and held out
    seconds: float = 0.0  # of training, by the clock
    spent: float = 0.0  # seconds of the rehearsal that a fit does not spend
    processes: int = 0  # that train beside the one that fits, at most
    speed: float | None = None  # measured seconds of a step over estimated ones
    begun: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), time.process_time()))

    def clock(self) -> float:
        """What `time.monotonic()` would be if the networks had been trained."""
        return time.monotonic() + self.seconds - self.spent

    def busy(self) -> float:
        """How many times as long work takes by the clock as its processor needs; more than 1 on a busy machine."""
        clock, processor = self.begun
        return max(1.0, (time.monotonic() - clock) / max(time.process_time() - processor, 1e-3))

    def add(self, networks: list[PlannedNetwork], schedule: Sequence[list[int]], left: float | None = None) -> None:
        """Add a round of networks, by number as each process trains them; training is cut after `left` seconds."""
        here, *others = (sum(networks[number].seconds for number in numbers) for numbers in schedule)
        self.networks += networks
        longest = max([here, *(PROCESS_START * self.busy() + seconds for seconds in others)])
        self.seconds += min(longest, math.inf if left is None else max(left, 0.0))
        self.processes = max(self.processes, len(others))
