"""Train candidates in rounds that halve them, until the time is used (Jamieson and Talwalkar 2016)."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from forecast.models import model_class
from forecast.parallel import workers
from forecast.training.context import TrainingContext, WarmStart
from forecast.training.fitting import Fitter
from forecast.training.loop import Trained
from forecast.training.plan import PROCESS_START, Candidate, Member, Plan, fit_seconds, makespan
from forecast.training.precision import require_precision, trainable
from forecast.training.resume import Decisions

# Of a forecaster; without a budget one for so many windows: on 7,000 to 9,000 windows 4 forecast as well as 7 to 12.
FEW_NETWORKS, MOST_NETWORKS, WINDOWS_A_NETWORK = 4, 24, 2000
PAIR = 2  # networks that train side by side in a plan that does not depend on a clock

WORTH_A_PROCESS = 10.0  # seconds of training from which on another process pays
FIRST_ROUND = 0.7  # share of the time for a first round of more networks than cores, if a second one can follow
SINGLE_ROUND = 1.15  # a single round may be planned to take so many times what is left: all then get fewer steps
SLOW = 1.3  # an idle core also gets a candidate that takes less than the time left, or than so many times the first
ROUND_MARGIN = (
    1.15  # a round whose estimate exceeds the time that is left by this factor is not begun
)

Loss = Callable[
    [NDArray[np.float64]], float
]  # of quantiles of the validation windows, [windows, horizon, levels]


def train_networks(
    fitter: Fitter,
    candidates: list[Candidate],
    loss: Loss,
    context: TrainingContext,
    plan: Plan | None = None,
    start: WarmStart | None = None,
) -> tuple[Plan, list[Trained]]:
    """Choose what to train and train it; the plan that is returned repeats it.

    `candidates` come the best bet first; instead, a `plan` is repeated, or an earlier fit, `start`, continued.
    """
    settings = fitter.settings
    planned = (
        plan.members if plan is not None else start.candidates if start is not None else candidates
    )
    require_precision(settings.precision, planned, fitter.device)
    rounds = _Rounds(
        fitter, replace(context, start_weights=None if start is None else start.weights)
    )
    if plan is not None:
        rounds.train(lambda: trainable(plan.members, fitter.device))
    elif start is not None:
        rounds.train(lambda: _plan_alike(rounds, start.candidates, start.warm))
    elif settings.steps or settings.members:
        rounds.train(lambda: _plan_alike(rounds, candidates[:1] * (settings.members or 1)))
    else:
        worth = (
            MOST_NETWORKS
            if rounds.measured
            else max(fitter.count // WINDOWS_A_NETWORK, FEW_NETWORKS)
        )
        alike = all(
            model_class(candidate.model).starts_trained for candidate in candidates
        )  # whatever their seed
        most = 1 if alike and fitter.count < WINDOWS_A_NETWORK else min(worth, MOST_NETWORKS)
        trained = rounds.train(lambda: _first_round(rounds, candidates)[:most])
        while trained:
            trained = rounds.train(
                partial(_better_half, rounds, trained, loss, most - len(rounds.done))
            )
    members, results = [member for member, _ in rounds.done], [result for _, result in rounds.done]
    return Plan(members=tuple(members), started_from=None if start is None else start.hash), results


class _Rounds:
    """Rounds of training in the time there is, decided one after another; a resumed fit repeats what was decided."""

    def __init__(self, fitter: Fitter, context: TrainingContext) -> None:
        decisions = Decisions.read(context.checkpoints)
        members = iter(
            trainable([member for members in decisions.rounds for member in members], fitter.device)
        )
        self.decided = [
            [next(members) for _ in planned] for planned in decisions.rounds
        ]  # networks of each round
        if context.deadline is not None and decisions.left is not None:
            context = replace(
                context, deadline=min(context.deadline, time.monotonic() + decisions.left)
            )
        self.fitter, self.context, self.costs = (
            fitter,
            context,
            dict(decisions.costs),
        )  # seconds by candidates' keys
        self.measured = (
            context.deadline is not None
        )  # by a clock; else estimated, so that a fit repeats anywhere
        self.spent, self.begun = 0.0, 0  # estimated seconds, without a deadline; and rounds
        self.done: list[tuple[Member, Trained]] = []

    def left(self) -> float:
        left = self.context.seconds_left()
        return fit_seconds(self.fitter.count) - self.spent if left is None else max(left, 0.5)

    def cost(self, candidate: Candidate) -> float:
        if candidate.key not in self.costs:
            self.costs[candidate.key] = self.fitter.cost(candidate, self.left(), self.measured)
        return self.costs[candidate.key]

    def needed(self, candidates: list[Candidate], jobs: int) -> float:
        """Seconds until all candidates are trained, `jobs` of them side by side."""
        return makespan([self.cost(candidate) for candidate in candidates], jobs)

    def jobs(self, networks: int) -> int:
        """Networks side by side, as planned."""
        return self.running_jobs(networks, self.left()) if self.measured else min(PAIR, networks)

    def running_jobs(self, networks: int, seconds: float) -> int:
        """Networks side by side, as this machine can."""
        left = self.left() if self.measured else seconds
        wanted = self.fitter.settings.jobs or (workers() if left > WORTH_A_PROCESS else 1)
        return max(1, min(wanted, networks))

    def train(self, decide: Callable[[], list[Member]]) -> list[tuple[Member, Trained]]:
        """Train the next round, which is decided now unless it was before."""
        if self.begun == len(self.decided):
            self.decided.append(decide())
            self._write()
        members = self.decided[self.begun]
        self.begun += 1
        if not members:
            return []
        costs = [self.costs.get(member.key, WORTH_A_PROCESS) for member in members]
        jobs = self.running_jobs(len(members), sum(costs))
        try:
            context = replace(self.context, first=len(self.done), jobs=jobs, seconds=costs)
            trained = list(zip(*self.fitter.train(members, context), strict=True))
        except BaseException:
            self._write()  # the time that is left
            raise
        self.done += trained
        self.spent += sum(self.costs.get(member.key, 0.0) for member in members) / PAIR
        return trained

    def _write(self) -> None:
        rounds, left, store = (
            tuple(map(tuple, self.decided)),
            self.context.seconds_left(),
            self.context.checkpoints,
        )
        Decisions(rounds=rounds, costs=self.costs, left=left).write(store)


def _plan_alike(rounds: _Rounds, candidates: list[Candidate], warm: int = 0) -> list[Member]:
    """Plan candidates with the steps of the settings, or with the same share of the time; `warm`: see `WarmStart`.

    Without a budget each of so many `members` as are asked for gets as many steps as each of two would.
    """
    settings, count = rounds.fitter.settings, len(candidates)
    shared = count if rounds.measured or not settings.members else min(count, PAIR)
    seconds = [rounds.left() / makespan([1.0] * shared, rounds.jobs(shared))] * count
    steps = settings.steps
    return rounds.fitter.plan(candidates, seconds, measure=rounds.measured, steps=steps, warm=warm)


def _plan_by_cost(rounds: _Rounds, candidates: list[Candidate]) -> list[Member]:
    """Plan candidates in the time that is left, each with the same share of the steps that are enough for it."""
    jobs = rounds.jobs(len(candidates))
    share = (rounds.left() - PROCESS_START * (jobs > 1 and rounds.measured)) / rounds.needed(
        candidates, jobs
    )
    seconds = [share * rounds.cost(candidate) for candidate in candidates]
    return rounds.fitter.plan(candidates, seconds, measure=rounds.measured)


def _first_round(rounds: _Rounds, candidates: list[Candidate]) -> list[Member]:
    """As many candidates, from the best bet on, as there is time for; a single one twice, so that no core idles."""
    affordable = _affordable(rounds, candidates)
    if rounds.measured and rounds.left() >= WORTH_A_PROCESS:
        rounds.fitter.measure_again()
        rounds.costs.clear()
        affordable = _affordable(rounds, candidates)
    return _plan_by_cost(rounds, affordable * (rounds.jobs(PAIR) if len(affordable) == 1 else 1))


def _affordable(rounds: _Rounds, candidates: list[Candidate]) -> list[Candidate]:
    left, jobs = rounds.left(), rounds.jobs(len(candidates))
    some = _within(FIRST_ROUND * left, rounds, candidates, jobs)
    second_round = ROUND_MARGIN * rounds.needed(candidates[:1] * PAIR, jobs)
    if len(some) > jobs and rounds.needed(some, jobs) + second_round < left:
        return some
    return _within(SINGLE_ROUND * left, rounds, candidates, jobs)


def _within(
    seconds: float, rounds: _Rounds, candidates: list[Candidate], jobs: int
) -> list[Candidate]:
    """Candidates that are trained within some seconds; on cores that would idle also others that are not slow."""
    not_slow = max(SLOW * rounds.cost(candidates[0]), rounds.left())
    chosen = list[Candidate]()
    for candidate in candidates:
        fills_core = len(chosen) < jobs and rounds.cost(candidate) < not_slow
        if not chosen or fills_core or rounds.needed([*chosen, candidate], jobs) < seconds:
            chosen.append(candidate)
        if len(chosen) >= jobs and rounds.needed(chosen, jobs) > seconds:
            break
    return chosen


def _better_half(
    rounds: _Rounds, trained: list[tuple[Member, Trained]], loss: Loss, most: int
) -> list[Member]:
    """The better half of a round with another seed, or as many of it as there is time for; not one alone of several."""
    losses = [loss(result.held_out) for _, result in trained]
    order = np.argsort(np.nan_to_num(losses, nan=np.inf), kind="stable")
    least = min(PAIR, len(trained))
    better = [trained[i][0].candidate for i in order[: max(least, len(trained) // 2)]][:most]
    while (
        len(better) >= least
        and ROUND_MARGIN * rounds.needed(better, rounds.jobs(len(better))) > rounds.left()
    ):
        better.pop()
    return _plan_by_cost(rounds, better) if len(better) >= least else []
