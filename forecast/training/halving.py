"""Train candidates in rounds that halve them, until the time is used."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from forecast.parallel import workers
from forecast.settings import Stored
from forecast.training.checkpoint import Checkpoint
from forecast.training.context import TrainingContext, WarmStart
from forecast.training.fitting import Fitter
from forecast.training.loop import Trained
from forecast.training.plan import Candidate, Member, Plan, fit_seconds, makespan
from forecast.training.precision import require_precision, trainable

log = logging.getLogger("forecast")

PLAN = "plan"  # name of the checkpoint of the decisions
MAX_NETWORKS = 24  # of a forecaster
PAIR = 2  # networks that train side by side in a plan that does not depend on a clock

WORTH_A_PROCESS = 10.0  # seconds of training from which on another process pays
PROCESS_START = 2.5  # seconds
PROBE_REPEATS = 2  # a busy neighbour slows a machine for half a second
FIRST_ROUND = 0.7  # share of the time for a first round of more networks than cores, if a second one can follow
SINGLE_ROUND = 1.15  # a single round may be planned to take so many times what is left: all then get fewer steps
SLOW = 1.3  # where time is short, a candidate that takes so many times as long as the first one is left out
ROUND_MARGIN = 1.15  # a round whose estimate exceeds the time that is left by this factor is not begun

Loss = Callable[[NDArray[np.float64]], float]
"""The mean loss of quantiles of the validation windows, [windows, horizon, levels]."""


def train_networks(
    fitter: Fitter,
    candidates: list[Candidate],
    loss: Loss,
    context: TrainingContext,
    plan: Plan | None = None,
    start: WarmStart | None = None,
) -> tuple[Plan, list[Trained]]:
    """Choose what to train and train it; the plan that is returned repeats it.

    Parameters
    ----------
    candidates : networks to choose from, the best bet first
    context : deadline, progress and checkpoints
    plan : to repeat; by default one is made
    start : networks of an earlier fit to continue, each once

    Raises
    ------
    Unavailable
        If the device cannot train in the precision that the settings name.
    """
    settings = fitter.settings
    tried = plan.members if plan is not None else start.candidates if start is not None else candidates
    require_precision(settings.precision, tried, fitter.device)
    rounds = _Rounds(fitter, loss, replace(context, start_weights=None if start is None else start.weights))
    rounds.resume()
    if plan is not None:
        rounds.once(lambda: trainable(plan.members, fitter.device))
    elif start is not None:
        rounds.fixed(start.candidates, start.warm)
    elif settings.steps or settings.members:
        rounds.fixed(candidates[:1] * (settings.members or 1))
    else:
        rounds.run(candidates)
    started_from = start.hash if start is not None else None
    exports = plan is None or plan.exports
    return Plan(members=tuple(rounds.members), started_from=started_from, exports=exports), rounds.trained


class _Decided(Stored):
    """The decisions so far: a resumed fit repeats them, and does not measure again."""

    rounds: tuple[tuple[Member, ...], ...] = Field(description="networks of each round; an empty round ends training")
    costs: dict[str, float] = Field(description="seconds of each candidate")
    left: float | None = Field(description="seconds of the budget that were left")


@dataclass
class _Rounds:
    """Successive halving (Jamieson and Talwalkar 2016) that keeps what it trained: all candidates once, the better
    half once more with another seed, and so on until the time is used."""

    fitter: Fitter
    loss: Loss
    context: TrainingContext
    members: list[Member] = field(default_factory=list)
    trained: list[Trained] = field(default_factory=list)
    spent: float = 0.0  # estimated seconds, where there is no deadline
    costs: dict[str, float] = field(default_factory=dict)  # seconds of each candidate
    decided: list[list[Member]] = field(default_factory=list)  # all rounds, those to be repeated included
    begun: int = 0  # rounds

    @property
    def measure(self) -> bool:
        """Whether a clock matters."""
        return self.context.deadline is not None

    def run(self, candidates: list[Candidate]) -> None:
        """Train in rounds."""
        members = self._next(lambda: self._first(candidates))
        while members:
            self._train(members)
            members = self._next(partial(self._better, members, self.trained[-len(members) :]))

    def fixed(self, candidates: list[Candidate], warm: int = 0) -> None:
        """Train each candidate, with the steps of the settings or in the time there is."""
        each = self._left() / makespan([1.0] * len(candidates), self._jobs(len(candidates)))
        seconds, steps = [each] * len(candidates), self.fitter.settings.steps
        self.once(lambda: self.fitter.plan(candidates, seconds, measure=self.measure, steps=steps, warm=warm))

    def once(self, decide: Callable[[], list[Member]]) -> None:
        """Train in a single round."""
        self._train(self._next(decide))

    def resume(self) -> None:
        """Take over the decisions of a fit that was stopped."""
        checkpoint = self.context.checkpoints.read(PLAN) if self.context.checkpoints is not None else None
        if checkpoint is None:
            return
        try:
            decided = _Decided.model_validate(checkpoint.facts)
        except ValidationError:
            log.warning("the checkpoint of the plan cannot be read; training starts anew")
            return
        members = iter(trainable([member for round in decided.rounds for member in round], self.fitter.device))
        self.decided, self.costs = [[next(members) for _ in round] for round in decided.rounds], decided.costs
        if self.context.deadline is not None and decided.left is not None:
            deadline = min(self.context.deadline, self.context.clock() + decided.left)
            self.context = replace(self.context, deadline=deadline)

    def _next(self, decide: Callable[[], list[Member]]) -> list[Member]:
        """The networks of the next round: as it was decided before, or now."""
        if self.begun == len(self.decided):
            self.decided.append(decide())
            self._write()
        self.begun += 1
        return self.decided[self.begun - 1]

    def _first(self, candidates: list[Candidate]) -> list[Member]:
        """As many candidates as there is time for."""
        affordable = self._affordable(candidates)
        return self._plan(affordable * (self._jobs(PAIR) if len(affordable) == 1 else 1))  # no core stands idle

    def _better(self, members: list[Member], trained: list[Trained]) -> list[Member]:
        """The better half once more, or as many of it as there is time for; none where that is hardly any."""
        losses = [self.loss(result.held_out) for result in trained]
        order = np.argsort(np.nan_to_num(losses, nan=np.inf), kind="stable")
        least = min(PAIR, len(members))
        better = [members[i].candidate for i in order[: max(least, len(members) // 2)]]
        better = better[: MAX_NETWORKS - len(self.members)]

        def time_needed() -> float:
            return ROUND_MARGIN * makespan([self.costs[each.key] for each in better], self._jobs(len(better)))

        while len(better) >= least and time_needed() > self._left():
            better.pop()
        return self._plan(better) if len(better) >= least else []

    def _plan(self, candidates: list[Candidate]) -> list[Member]:
        """All of them in the time that is left, each with the same share of the steps that are enough for it."""
        jobs = self._jobs(len(candidates))
        costs = [self.costs[candidate.key] for candidate in candidates]
        share = (self._left() - PROCESS_START * (jobs > 1 and self.measure)) / makespan(costs, jobs)
        return self.fitter.plan(candidates, [share * cost for cost in costs], measure=self.measure)

    def _train(self, members: list[Member]) -> None:
        """Train members and add them to those of earlier rounds."""
        costs = [self.costs.get(member.key, WORTH_A_PROCESS) for member in members]
        jobs = self._running(len(members), sum(costs))
        context = replace(self.context, first=len(self.members), jobs=jobs, seconds=costs)
        try:
            members, trained = self.fitter.train(members, context)
        except BaseException:
            self._write()  # the time that is left
            raise
        self.members += members
        self.trained += trained
        self.spent += sum(self.costs.get(member.key, 0.0) for member in members) / PAIR

    def _write(self) -> None:
        if self.context.checkpoints is not None:
            left = None if self.context.deadline is None else self.context.deadline - self.context.clock()
            decided = _Decided(rounds=tuple(map(tuple, self.decided)), costs=self.costs, left=left)
            self.context.checkpoints.write(PLAN, Checkpoint(decided.model_dump(mode="json"), {}))

    def _affordable(self, candidates: list[Candidate]) -> list[Candidate]:
        """The first ones that there is time for, at least as many as run side by side."""
        affordable = self._within_time(candidates)
        if not self.measure or self._left() < WORTH_A_PROCESS:
            return affordable
        for _ in range(PROBE_REPEATS):
            self.fitter.measure_again()
        self.costs.clear()
        return self._within_time(candidates)

    def _within_time(self, candidates: list[Candidate]) -> list[Candidate]:
        left, jobs = self._left(), self._jobs(len(candidates))

        def cost(candidate: Candidate) -> float:
            if candidate.key not in self.costs:
                self.costs[candidate.key] = self.fitter.cost(candidate, left, self.measure)
            return self.costs[candidate.key]

        def time_needed(some: list[Candidate]) -> float:
            return makespan(list(map(cost, some)), jobs)

        def within(most: float) -> list[Candidate]:
            chosen = list[Candidate]()
            for candidate in candidates:
                quick = cost(candidate) < max(SLOW * cost(candidates[0]), left)
                # beyond those that fill the cores once, all must finish in time
                if not chosen or (quick and len(chosen) < jobs) or time_needed([*chosen, candidate]) < most:
                    chosen.append(candidate)
                if len(chosen) >= jobs and time_needed(chosen) > most:
                    break
            return chosen

        first = within(FIRST_ROUND * left)
        # there is time for a second round, and the first one leaves a choice
        again = len(first) > jobs and time_needed(first) + ROUND_MARGIN * time_needed(candidates[:1] * PAIR) < left
        return first if again else within(SINGLE_ROUND * left)

    def _left(self) -> float:
        if self.context.deadline is None:
            return fit_seconds(self.fitter.count) - self.spent
        return max(self.context.deadline - self.context.clock(), 0.5)

    def _jobs(self, members: int) -> int:
        """Networks side by side, as planned."""
        return self._running(members, self._left()) if self.measure else min(PAIR, members)

    def _running(self, members: int, seconds: float) -> int:
        """Networks side by side, as this machine can."""
        left = self._left() if self.measure else seconds
        wanted = self.fitter.settings.jobs or (workers() if left > WORTH_A_PROCESS else 1)
        return max(1, min(wanted, members))
