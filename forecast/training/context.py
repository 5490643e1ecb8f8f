"""What the networks of a fit share beside data and settings: deadline, progress, checkpoints, parallel jobs."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from forecast.training.checkpoint import CheckpointStore
from forecast.training.plan import Candidate

Weights = dict[str, NDArray[Any]]
"""The weights of a network by name."""


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
    """How networks are trained together.

    Attributes
    ----------
    deadline : `time.monotonic()` at which training must be over
    on_step : receives the progress after each step of a network that is trained in this process
    checkpoints : where each network writes its state, and where it resumes from; other processes write there too
    jobs : networks trained side by side
    first : number of the first network in the whole plan: seeds depend on it
    start_weights : weights that each network starts from; by default they are drawn
    seconds : expected training time of each network; by default all take the same
    clock : what tells how much time is left between two rounds
    """

    deadline: float | None = None
    on_step: OnStep | None = None
    checkpoints: CheckpointStore | None = None
    jobs: int = 1
    first: int = 0
    start_weights: list[Weights] | None = None
    seconds: Sequence[float] | None = None
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class WarmStart:
    """Networks of an earlier fit that a fit continues.

    Attributes
    ----------
    candidates : the networks
    weights : of each network
    warm : number of fits before the new one, each of which the next continued
    hash : of the artifact that the networks come from
    """

    candidates: list[Candidate]
    weights: list[Weights]
    warm: int
    hash: str
