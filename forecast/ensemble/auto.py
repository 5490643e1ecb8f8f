"""What a fit tries: candidates for a panel, trained in rounds that halve them, until the time is used."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from forecast.ensemble.names import AUTO, FIRST, check_model, is_baseline
from forecast.ensemble.validation import ValidationSet
from forecast.errors import Setting, UsageError, Words
from forecast.panel.spans import MANY
from forecast.settings import TrainSettings
from forecast.training.fitting import Fitter, Start
from forecast.training.loop import Progress, Trained
from forecast.training.plan import SECONDS, Candidate, Member, Plan, cores, longest
from forecast.training.states import Keeper, State

log = logging.getLogger("forecast")

PLAN = "plan"  # under this name what was decided is kept
TRIED = (
    (FIRST, "standard", 1),
    (FIRST, "last", 1),
    (FIRST, "standard", 2),
    ("slstm", "standard", 1),
    ("mingru", "standard", 1),
    ("linear", "last", 1),
    ("esrnn", "standard", 1),
    ("segrnn", "last", 2),
    ("linear", "last", 2),
    ("mingru", "standard", 2),
    ("slstm", "standard", 2),
    ("esrnn", "standard", 2),
)
"""What auto tries, the best bet first: models, scalings, and how many times the usual past they read."""

PAYS = 10.0  # seconds of training from which on the start of another process pays
STARTS = 2.5  # seconds that it takes
SWEEPS = 2  # times that what was measured is measured again: a busy neighbour slows a machine for half a second
PAIR = 2  # networks that are planned to train side by side where no clock is to matter
ROUND = 0.7  # share of the time that a first round of more networks than cores may take, if a second one can follow
SHORT = 1.15  # a single round may be planned to take so many times what is left: all its networks then get fewer steps
SLOW = 1.3  # where time is short, a candidate that takes so many times as long as the first one is left out
MOST = 24  # networks of a forecaster
SPARE = 1.15  # a round that is estimated to take longer than what is left of the time, by this factor, is not begun


def compared_with(settings: TrainSettings) -> tuple[str, ...]:
    """The baselines that networks are compared with; one that was asked for as the model stands alone."""
    if is_baseline(settings.model):
        return (settings.model,)
    return settings.baselines if settings.guard else ()


def candidates_for(settings: TrainSettings, lookback: int, longest: int, season: int) -> list[Candidate]:
    """The networks that are worth a try, the best bet first; where a model is named, only that one.

    Parameters
    ----------
    lookback : steps
    longest : steps of the past that may be looked back at
    season : steps of the shortest season, 1 for none
    """
    tried = TRIED if settings.model == AUTO else ((settings.model, "standard", 1),)
    wider = min(2 * lookback, MANY * season)
    if settings.lookback is not None or settings.steps is not None or not lookback < wider <= longest:
        wider = lookback
    found = []
    for model, scaling, times in tried:
        knobs = {"params": settings.params or {}, "scaling": settings.scaling or scaling}
        steps = lookback if times == 1 else wider
        found.append(Candidate.model_validate({"model": model, "lookback": steps, **knobs}))
    if settings.params or settings.steps:
        own = FIRST if settings.model == AUTO else settings.model
        found = [one for one in found if one.model == own and one.scaling == found[0].scaling]
    return list({one.key: one for one in found}.values())


def train_networks(
    fitter: Fitter,
    validation: ValidationSet,
    lookback: int,
    plan: Plan | None = None,
    deadline: float | None = None,
    on_step: Callable[[Progress], None] | None = None,
    keep: Keeper | None = None,
    start: Start | None = None,
) -> tuple[Plan, list[Trained]]:
    """Choose what to train and train it; the plan that comes back repeats it.

    Parameters
    ----------
    validation : the windows that choose
    plan : to be repeated; by default one is made
    deadline : `time.monotonic()` at which training must be over
    keep : where what was planned and trained is kept, and taken up from
    start : networks of an earlier fit to go on from, all of them once

    Raises
    ------
    UsageError
        If there is no such model, or the plan trains another one.
    """
    settings = fitter.settings
    check_model(settings.model)
    rounds = _Rounds(fitter, validation, deadline, on_step, keep, start)
    rounds.take_up()
    if plan is not None:
        if settings.model != AUTO and any(member.model != settings.model for member in plan.members):
            found = ", ".join(sorted({member.model for member in plan.members}))
            cure = Words("leave ", Setting("model"), " out")
            raise UsageError(f"the plan trains {found}", setting=Setting("model", settings.model), cure=cure)
        rounds.once(lambda: list(plan.members))
    elif start is not None:
        rounds.fixed(start.candidates, start.warm)
    else:
        farthest = int(np.median(fitter.spans.train_end)) // 2
        season = fitter.inputs.lags[0] if fitter.inputs.lags else 1
        candidates = candidates_for(settings, lookback, farthest, season)
        if settings.steps or settings.members:
            rounds.fixed(candidates[:1] * (settings.members or 1))
        else:
            rounds.run(candidates)
    started_from = start.hash if start is not None else None
    return Plan(members=tuple(rounds.members), started_from=started_from), rounds.trained


class _Decided(BaseModel):
    """What was decided so far: a resumed fit repeats it, and does not measure again."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rounds: tuple[tuple[Member, ...], ...] = Field(description="networks of each round; none says that it was enough")
    costs: dict[str, float] = Field(description="seconds of each candidate")
    left: float | None = Field(description="seconds of the budget that were left")


@dataclass
class _Rounds:
    """Successive halving (Jamieson and Talwalkar 2016) that keeps what it trained: all candidates once, the better
    half once more with another seed, and so on until the time is used."""

    fitter: Fitter
    validation: ValidationSet
    deadline: float | None
    on_step: Callable[[Progress], None] | None
    keep: Keeper | None
    start: Start | None
    members: list[Member] = field(default_factory=list)
    trained: list[Trained] = field(default_factory=list)
    spent: float = 0.0  # estimated seconds, where no clock is to matter
    costs: dict[str, float] = field(default_factory=dict)  # seconds of each candidate
    decided: list[list[Member]] = field(default_factory=list)  # the rounds, those to be repeated included
    begun: int = 0  # rounds

    def run(self, candidates: list[Candidate]) -> None:
        """Train in rounds."""
        made = self._next(lambda: self._first(candidates))
        while made:
            self._train(made)
            made = self._next(partial(self._better, made, self.trained[-len(made) :]))

    def fixed(self, candidates: list[Candidate], warm: int = 0) -> None:
        """Train as many as were asked for, with the steps or the time there are."""
        steps, measure = self.fitter.settings.steps, self.deadline is not None
        each = self._left() / longest([1.0] * len(candidates), self._jobs(len(candidates)))
        seconds = [each] * len(candidates)
        self.once(lambda: self.fitter.lay_out(candidates, seconds, measure=measure, steps=steps, warm=warm))

    def once(self, decide: Callable[[], list[Member]]) -> None:
        """Train in a single round."""
        self._train(self._next(decide))

    def take_up(self) -> None:
        """Go on from what was kept of a fit that was stopped."""
        found = self.keep.read(PLAN) if self.keep is not None else None
        if found is None:
            return
        try:
            kept = _Decided.model_validate(found.facts)
        except ValidationError:
            log.warning("what was kept of the plan cannot be read; training starts anew")
            return
        self.decided, self.costs = [list(made) for made in kept.rounds], kept.costs
        if self.deadline is not None and kept.left is not None:
            self.deadline = min(self.deadline, time.monotonic() + kept.left)

    def _next(self, decide: Callable[[], list[Member]]) -> list[Member]:
        """The networks of the next round: as it was decided before, or now."""
        if self.begun == len(self.decided):
            self.decided.append(decide())
            self._write()
        self.begun += 1
        return self.decided[self.begun - 1]

    def _first(self, candidates: list[Candidate]) -> list[Member]:
        """All that there is time for."""
        todo = self._affordable(candidates)
        return self._lay_out(todo * (self._jobs(PAIR) if len(todo) == 1 else 1))  # no core stands idle

    def _better(self, made: list[Member], trained: list[Trained]) -> list[Member]:
        """The better half once more, or as many of it as there is time for; none where that is hardly any."""
        losses = [self._loss(one) for one in trained]
        order = np.argsort(np.nan_to_num(losses, nan=np.inf), kind="stable")
        least = min(PAIR, len(made))
        todo = [_candidate(made[i]) for i in order[: max(least, len(made) // 2)]][: MOST - len(self.members)]

        def wall() -> float:
            return SPARE * longest([self.costs[one.key] for one in todo], self._jobs(len(todo)))

        while len(todo) >= least and wall() > self._left():
            todo.pop()
        return self._lay_out(todo) if len(todo) >= least else []

    def _lay_out(self, todo: list[Candidate]) -> list[Member]:
        """All of them in the time that is left, each with the same share of the steps that are enough for it."""
        jobs, clock = self._jobs(len(todo)), self.deadline is not None
        costs = [self.costs[one.key] for one in todo]
        share = (self._left() - STARTS * (jobs > 1 and clock)) / longest(costs, jobs)
        return self.fitter.lay_out(todo, [share * cost for cost in costs], measure=clock)

    def _train(self, members: list[Member]) -> None:
        """Train members and keep them."""
        costs = [self.costs.get(one.key, PAYS) for one in members]
        try:
            made, trained = self.fitter.train(
                members,
                first=len(self.members),
                jobs=self._running(len(members), sum(costs)),
                deadline=self.deadline,
                on_step=self.on_step,
                keep=self.keep,
                start=None if self.start is None else self.start.weights,
                seconds=costs,
            )
        except BaseException:
            self._write()  # what is left of a budget
            raise
        self.members += made
        self.trained += trained
        self.spent += sum(self.costs.get(one.key, 0.0) for one in made) / PAIR

    def _write(self) -> None:
        if self.keep is not None:
            left = None if self.deadline is None else self.deadline - time.monotonic()
            facts = _Decided(rounds=tuple(map(tuple, self.decided)), costs=self.costs, left=left)
            self.keep.write(PLAN, State(facts.model_dump(mode="json"), {}))

    def _affordable(self, candidates: list[Candidate]) -> list[Candidate]:
        """The first ones that there is time for, as many as run side by side at the least."""
        found = self._within_time(candidates)
        if self.deadline is None or self._left() < PAYS:
            return found
        for _ in range(SWEEPS):
            self.fitter.measure_again()
        self.costs.clear()
        return self._within_time(candidates)

    def _within_time(self, candidates: list[Candidate]) -> list[Candidate]:
        left, jobs = self._left(), self._jobs(len(candidates))

        def cost(one: Candidate) -> float:
            if one.key not in self.costs:
                self.costs[one.key] = self.fitter.cost(one, left, self.deadline is not None)
            return self.costs[one.key]

        def wall(some: list[Candidate]) -> float:
            return longest(list(map(cost, some)), jobs)

        def within(most: float) -> list[Candidate]:
            found = list[Candidate]()
            for candidate in candidates:
                quick = cost(candidate) < max(SLOW * cost(candidates[0]), left)
                # beyond those that fill the cores once, all must come to their end
                if not found or (quick and len(found) < jobs) or wall([*found, candidate]) < most:
                    found.append(candidate)
                if len(found) >= jobs and wall(found) > most:
                    break
            return found

        first = within(ROUND * left)
        # there is time for a second round, and a choice to be made after the first one
        again = len(first) > jobs and wall(first) + SPARE * wall(candidates[:1] * PAIR) < left
        return first if again else within(SHORT * left)

    def _loss(self, one: Trained) -> float:
        middle = self.fitter.inputs.levels.index(0.5)
        return self.validation.mean_loss(one.held_out.numpy()[..., middle])

    def _left(self) -> float:
        return SECONDS - self.spent if self.deadline is None else max(self.deadline - time.monotonic(), 0.5)

    def _jobs(self, members: int) -> int:
        """Networks side by side, as planned."""
        return min(PAIR, members) if self.deadline is None else self._running(members, self._left())

    def _running(self, members: int, seconds: float) -> int:
        """Networks side by side, as this machine can."""
        left = seconds if self.deadline is None else self._left()
        wanted = self.fitter.settings.jobs or (cores() if left > PAYS else 1)
        return max(1, min(wanted, members))


def _candidate(member: Member) -> Candidate:
    return Candidate(**member.model_dump(include=set(Candidate.model_fields)))
