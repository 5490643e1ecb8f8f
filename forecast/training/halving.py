"""Train candidates in rounds until the time is used; each round keeps the better half.

This is successive halving (Jamieson and Talwalkar 2016), but the better half is trained anew with
another seed, and all networks that were trained can join the ensemble.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forecast.models import model_class
from forecast.parallel import workers
from forecast.training.fitting import Fitter
from forecast.training.loop import Trained
from forecast.training.plan import (
    PROCESS_START,
    Candidate,
    Member,
    Plan,
    TrainingContext,
    WarmStart,
    fit_seconds,
    makespan,
)

# networks that a plan takes to train side by side if no clock decides it (no time budget): the plan
# is then the same on machines of any number of cores
PAIR = 2
WORTH_A_PROCESS = 10.0  # seconds of training from which on starting another process saves time


@dataclass(frozen=True)
class RoundPriors:
    """How many networks a forecaster has, and how rounds of training share the time.

    On 7,000 to 9,000 windows 4 networks forecast as well as 7 to 12.
    """

    few_networks: int = 4
    most_networks: int = 24
    windows_a_network: int = 2000  # training windows for each network, without a time budget
    first_round: float = 0.7  # share of the time for the first round, if a second one can follow
    # if only one round is possible, it takes candidates that need up to this multiple of the time
    # left; each of them then trains for fewer steps, so that all finish in time
    single_round: float = 1.15
    # a candidate that takes this multiple of the first candidate's time does not fill an idle core
    slow: float = 1.3
    margin: float = 1.15  # a round begins only if its estimated time, times this, is left


ROUND_PRIORS = RoundPriors()

Loss = Callable[[NDArray[np.float64]], float]
"""Of quantiles of the validation windows, [windows, horizon, levels]."""


def train_networks(
    fitter: Fitter,
    candidates: list[Candidate],
    loss: Loss,
    context: TrainingContext,
    start: WarmStart | None,
) -> tuple[Plan, list[Trained]]:
    """Choose which networks to train, and train them; the plan says what was done.

    `candidates` come in order, the most promising first. They are ignored if the fit
    continues an earlier one (`start`). `loss` compares networks by their quantiles of the
    validation windows.
    """
    settings = fitter.settings
    started_from = None
    if start is not None:
        candidates = start.candidates
        started_from = start.hash
        context = replace(context, start_weights=start.weights)
    rounds = _Rounds(fitter, context)
    if start is not None:
        rounds.train(_plan_alike(rounds, candidates, start.warm))
    elif settings.steps or settings.members:
        copies = candidates[:1] * (settings.members or 1)
        rounds.train(_plan_alike(rounds, copies))
    else:
        most = _most_networks(rounds, candidates)
        trained = rounds.train(_first_round(rounds, candidates)[:most])
        while trained:
            more = most - len(rounds.done)
            trained = rounds.train(_better_half(rounds, trained, loss, more))

    members = tuple(member for member, _ in rounds.done)
    results = [result for _, result in rounds.done]
    return Plan(members=members, started_from=started_from), results


def _most_networks(rounds: "_Rounds", candidates: list[Candidate]) -> int:
    windows = rounds.fitter.count
    trained_before = all(model_class(candidate.model).starts_trained for candidate in candidates)
    if trained_before and windows < ROUND_PRIORS.windows_a_network:
        return 1  # networks that start from the same trained weights end alike, whatever the seed
    if rounds.measured:
        return ROUND_PRIORS.most_networks
    worth = max(windows // ROUND_PRIORS.windows_a_network, ROUND_PRIORS.few_networks)
    return min(worth, ROUND_PRIORS.most_networks)


class _Rounds:
    """Rounds of training within the time there is."""

    def __init__(self, fitter: Fitter, context: TrainingContext) -> None:
        self.fitter = fitter
        self.context = context
        self.costs: dict[str, float] = {}  # seconds of full training, by key of a candidate
        # whether a deadline makes costs be measured by a clock; without one they are estimated, so
        # that a fit is the same on any machine
        self.measured = context.deadline is not None
        self.spent = 0.0  # estimated seconds, without a deadline
        self.done: list[tuple[Member, Trained]] = []

    def left(self) -> float:
        left = self.context.seconds_left()
        if left is None:
            return fit_seconds(self.fitter.count) - self.spent
        return max(left, 0.5)

    def cost(self, candidate: Candidate) -> float:
        if candidate.key not in self.costs:
            self.costs[candidate.key] = self.fitter.cost(candidate, self.left(), self.measured)
        return self.costs[candidate.key]

    def estimate_time(self, candidates: list[Candidate], jobs: int) -> float:
        """Seconds until all candidates are trained, `jobs` of them side by side."""
        costs = [self.cost(candidate) for candidate in candidates]
        return makespan(costs, jobs)

    def jobs(self, networks: int) -> int:
        """How many of the networks the plan takes to train side by side."""
        if not self.measured:
            return min(PAIR, networks)
        return self.running_jobs(networks, self.left())

    def running_jobs(self, networks: int, seconds: float) -> int:
        """How many of the networks this machine trains side by side."""
        jobs = self.fitter.settings.jobs or (workers() if seconds > WORTH_A_PROCESS else 1)
        return max(1, min(jobs, networks))

    def train(self, members: list[Member]) -> list[tuple[Member, Trained]]:
        """Train the next round."""
        if not members:
            return []

        costs = [self.costs.get(member.key, WORTH_A_PROCESS) for member in members]
        seconds = self.left() if self.measured else sum(costs)
        jobs = self.running_jobs(len(members), seconds)
        context = replace(self.context, first=len(self.done), jobs=jobs, seconds=costs)
        members, results = self.fitter.train(members, context)
        trained = list(zip(members, results, strict=True))
        self.done += trained
        self.spent += sum(self.costs.get(member.key, 0.0) for member in members) / PAIR
        return trained


def _plan_alike(rounds: _Rounds, candidates: list[Candidate], warm: int = 0) -> list[Member]:
    """Plan candidates with the steps of the settings, or with equal shares of the time.

    Without a time budget, each of the settings' `members` gets as many training steps as it would
    get if there were two of them. `warm` is how many fits came before this one, each continued by
    the next (a warm start); 0 is a fit from scratch.
    """
    settings = rounds.fitter.settings
    sharing = len(candidates)
    if settings.members and not rounds.measured:
        sharing = min(sharing, PAIR)
    seconds = rounds.left() / makespan([1.0] * sharing, rounds.jobs(sharing))
    return rounds.fitter.plan(
        candidates,
        [seconds] * len(candidates),
        measure=rounds.measured,
        steps=settings.steps,
        warm=warm,
    )


def _plan_by_cost(rounds: _Rounds, candidates: list[Candidate]) -> list[Member]:
    """Plan candidates within the time left; each gets the same share of the steps it needs."""
    jobs = rounds.jobs(len(candidates))
    start = PROCESS_START if jobs > 1 and rounds.measured else 0.0
    share = (rounds.left() - start) / rounds.estimate_time(candidates, jobs)
    seconds = [share * rounds.cost(candidate) for candidate in candidates]
    return rounds.fitter.plan(candidates, seconds, measure=rounds.measured)


def _first_round(rounds: _Rounds, candidates: list[Candidate]) -> list[Member]:
    """Plan as many candidates as there is time for, the most promising first.

    If there is time for one only, it is trained with several seeds, one on each core.
    """
    affordable = _affordable(rounds, candidates)
    if len(affordable) == 1:
        affordable *= rounds.jobs(PAIR)
    return _plan_by_cost(rounds, affordable)


def _affordable(rounds: _Rounds, candidates: list[Candidate]) -> list[Candidate]:
    left = rounds.left()
    jobs = rounds.jobs(len(candidates))
    first = _within(ROUND_PRIORS.first_round * left, rounds, candidates, jobs)
    if len(first) > jobs:
        second_round = ROUND_PRIORS.margin * rounds.estimate_time(candidates[:1] * PAIR, jobs)
        if rounds.estimate_time(first, jobs) + second_round < left:
            return first
    return _within(ROUND_PRIORS.single_round * left, rounds, candidates, jobs)


def _within(
    seconds: float, rounds: _Rounds, candidates: list[Candidate], jobs: int
) -> list[Candidate]:
    """The first candidates that can be trained within some seconds.

    Candidates that would exceed the time but are not slow are added as long as cores are idle.
    """
    slow = max(ROUND_PRIORS.slow * rounds.cost(candidates[0]), rounds.left())
    chosen: list[Candidate] = []
    for candidate in candidates:
        fills_core = len(chosen) < jobs and rounds.cost(candidate) < slow
        if not chosen or fills_core or rounds.estimate_time([*chosen, candidate], jobs) < seconds:
            chosen.append(candidate)
        if len(chosen) >= jobs and rounds.estimate_time(chosen, jobs) > seconds:
            break
    return chosen


def _better_half(
    rounds: _Rounds, trained: list[tuple[Member, Trained]], loss: Loss, most: int
) -> list[Member]:
    """Plan the better half of a round once more with another seed, or as many as there is time for.

    If time is left for less than a pair of networks, nothing is planned, unless the round itself
    had only one network.
    """
    losses = [loss(result.held_out) for _, result in trained]
    order = np.argsort(np.nan_to_num(losses, nan=np.inf), kind="stable")
    fewest = min(PAIR, len(trained))
    half = max(fewest, len(trained) // 2)
    better = [trained[number][0].candidate for number in order[:half]]
    better = better[:most]
    while len(better) >= fewest:
        needed = rounds.estimate_time(better, rounds.jobs(len(better)))
        if ROUND_PRIORS.margin * needed <= rounds.left():
            return _plan_by_cost(rounds, better)
        better.pop()
    return []
