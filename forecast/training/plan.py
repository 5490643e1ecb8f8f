"""The plan of a fit: which networks are trained, for how many steps, on what batches, until when.

It follows from the data, the settings and an estimate of costs; only a time budget brings in a
clock.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from pydantic import Field

from forecast.settings import ScalingName, Stored

MAX_MEMBERS = 128  # of a plan
MAX_ORIGINS = 32  # origins in the past, whose errors intervals of sums are computed from

# training steps of a model without gradients: one without held-out values, one on all data
STEPS_WITHOUT_GRADIENTS = 2
PROCESS_START = 2.5  # seconds until another process trains


@dataclass(frozen=True)
class StepPriors:
    """How long networks train. Short series gain little over the pretrained network."""

    least_seconds: float = 3.0
    most_seconds: float = 25.0
    windows_a_second: int = 200
    # a network trains for this many steps or passes over the windows, whichever is more; training
    # longer overfits
    min_steps: int = 500
    passes: float = 1.5
    # training steps of the pretrained network: on short single series 25 do as well as 125
    tuning_steps: int = 25
    trained_share: float = 0.25  # share of the steps for a network that starts from trained weights
    refit_share: float = 0.2  # share of the steps that train on held-out values too, at the end


STEP_PRIORS = StepPriors()

Weights = dict[str, NDArray[Any]]  # of a network, by name


class Candidate(Stored):
    """A network that may be trained, and how the windows it reads are cut and scaled."""

    model: str
    params: dict[str, Any] = Field(default_factory=dict)  # the model's own settings
    scaling: ScalingName = "standard"
    lookback: int = Field(ge=1, le=100_000)  # steps of the past

    @property
    def key(self) -> str:
        """What tells candidates apart; members that share it differ in seed and schedule only."""
        return self.model_dump_json(include=set(Candidate.model_fields))


class Member(Candidate):
    """One network of a fit: a candidate, and the schedule of its training."""

    batch_size: int = Field(ge=1)  # windows a step
    steps: int = Field(ge=1)  # the refit on all data included
    refit_steps: int = Field(ge=0)  # the last of them, which train on all data
    validate_every: int = Field(ge=1)  # training steps
    warm: int = Field(0, ge=0)  # how many fits came before this one, each continued by the next

    @property
    def candidate(self) -> Candidate:
        return Candidate(**self.model_dump(include=set(Candidate.model_fields)))


class Plan(Stored):
    """Everything that decides a fit beside data, settings and seed."""

    members: tuple[Member, ...] = Field(max_length=MAX_MEMBERS)
    # hash of the artifact whose networks it continues
    started_from: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    # past origins for intervals of sums, if a deadline cut them
    origins: int | None = Field(None, ge=0, le=MAX_ORIGINS)

    def groups(self) -> list[list[int]]:
        """Members of the same candidate, by number; the median of a group is one forecast."""
        groups: dict[str, list[int]] = {}
        for number, member in enumerate(self.members):
            groups.setdefault(member.key, []).append(number)
        return list(groups.values())


def plan_member(
    candidate: Candidate,
    steps: int,
    batch_size: int,
    refit: bool,
    warm: int = 0,
    at_once: bool = False,
) -> Member:
    """The schedule of one network; with `refit` its last training steps use held-out values too."""
    refit_steps = int(STEP_PRIORS.refit_share * steps) if refit else 0
    validate_every = max(10, steps // 16)
    if at_once:
        steps = min(steps, STEPS_WITHOUT_GRADIENTS) if refit else 1
        refit_steps = steps - 1

    return Member(
        **candidate.model_dump(),
        batch_size=batch_size,
        steps=steps,
        refit_steps=refit_steps,
        validate_every=validate_every,
        warm=warm,
    )


def fit_seconds(windows: int) -> float:
    """Seconds that a fit without a time budget may take, by how many windows can be drawn."""
    seconds = max(windows / STEP_PRIORS.windows_a_second, STEP_PRIORS.least_seconds)
    return min(seconds, STEP_PRIORS.most_seconds)


def enough_steps(
    windows: int, batch_size: int, warm: bool = False, pretrained: bool = False
) -> int:
    """Training steps after which time is better spent on another network."""
    passes = int(STEP_PRIORS.passes * windows / batch_size)
    steps = max(STEP_PRIORS.min_steps, passes)
    if warm or pretrained:
        steps = int(STEP_PRIORS.trained_share * steps)
    if pretrained:
        steps = min(steps, max(STEP_PRIORS.tuning_steps, passes))
    return steps


def schedule(costs: Sequence[float], jobs: int) -> list[list[int]]:
    """The networks, by number, that each of `jobs` workers trains.

    The longest remaining network goes to the worker that is free first (Graham 1969).
    """
    count = max(1, min(jobs, len(costs)))
    workers: list[list[int]] = [[] for _ in range(count)]
    ends = [0.0] * count
    longest_first = sorted(range(len(costs)), key=lambda number: -costs[number])
    for number in longest_first:
        free = ends.index(min(ends))
        workers[free].append(number)
        ends[free] += costs[number]
    return workers


def makespan(costs: Sequence[float], jobs: int) -> float:
    """The time until the last of `jobs` workers has finished."""
    workers = schedule(costs, jobs)
    return max(sum(costs[number] for number in worker) for worker in workers)


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
