"""What a fit tries: the candidates for a panel, and the search among them within a plan."""

import time
from collections.abc import Callable

import numpy as np

from forecast.errors import UsageError
from forecast.evaluation.baselines import AUTOMATIC, BASELINES
from forecast.selection.judge import Judge
from forecast.settings import TrainSettings
from forecast.training.fitting import Fitter
from forecast.training.loop import Progress, Trained
from forecast.training.plan import SECONDS, Candidate, Plan, cores

AUTO, DEFAULT = "auto", "segrnn"
PAYS = 10.0  # seconds of training from which on the start of another process pays
SEARCH_FROM, SEARCH_SHARE = 40.0, 0.2  # seconds from which on candidates are compared, and the share that takes
PAIR = 2  # members of a fit by auto, and what is planned to run side by side where no clock is to matter
MOST = 5  # members where training is short


def is_baseline(name: str) -> bool:
    """Whether a model's name is that of a baseline: nothing is trained then."""
    return name in BASELINES or name in AUTOMATIC


def compared_with(settings: TrainSettings) -> tuple[str, ...]:
    """The baselines that networks are compared with; one that was asked for as the model stands alone."""
    if is_baseline(settings.model):
        return (settings.model,)
    return settings.baselines if settings.guard else ()


def train_networks(
    fitter: Fitter,
    judge: Judge,
    lookback: int,
    plan: Plan | None = None,
    deadline: float | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> tuple[Plan, list[Trained]]:
    """Choose what to train, plan it and train it; the plan that comes back repeats it.

    Parameters
    ----------
    judge : of the held-out windows
    plan : to be repeated; by default one is made
    deadline : `time.monotonic()` at which training must be over

    Raises
    ------
    UsageError
        If the plan trains another model than the one that was asked for.
    """
    settings = fitter.settings
    if is_baseline(settings.model):
        return Plan(members=()), []
    if plan is None:
        plan = _make_plan(fitter, judge, lookback, deadline)
    elif settings.model != AUTO and any(member.model != settings.model for member in plan.members):
        found = ", ".join(sorted({member.model for member in plan.members}))
        raise UsageError(f"--model {settings.model}: the plan trains {found}; leave --model out")
    jobs = _jobs(settings, len(plan.members), _left(deadline))
    return fitter.train(plan, jobs=jobs, deadline=deadline, on_step=on_step)


def _make_plan(fitter: Fitter, judge: Judge, lookback: int, deadline: float | None) -> Plan:
    settings, budget = fitter.settings, deadline is not None
    candidates = candidates_for(settings, fitter, lookback, _left(deadline))
    if len(candidates) > 1:
        candidates = _survivors(fitter, judge, candidates, deadline)
    count = settings.members or _members(fitter, candidates, _left(deadline), budget)
    members = candidates * count
    jobs = _jobs(settings, len(members), _left(deadline)) if budget else min(PAIR, len(members))
    return fitter.plan(members, _left(deadline), budget=budget, jobs=jobs, steps=settings.steps)


def candidates_for(settings: TrainSettings, fitter: Fitter, lookback: int, seconds: float) -> list[Candidate]:
    """The networks that are worth a try: one where it is asked for or time is short, else some."""
    model = DEFAULT if settings.model == AUTO else settings.model

    def candidate(scaling: str, steps: int) -> Candidate:
        return Candidate.model_validate(
            {"model": model, "params": settings.params or {}, "scaling": scaling, "lookback": steps}
        )

    first = candidate(settings.scaling or "standard", lookback)
    if settings.model != AUTO or settings.steps is not None or seconds < SEARCH_FROM or not len(fitter.places[0]):
        return [first]
    scalings = [settings.scaling] if settings.scaling else ["standard", "last"]
    longest = int(np.median(fitter.spans.train_end)) // 3
    lookbacks = [lookback] if settings.lookback or 2 * lookback > longest else [lookback, 2 * lookback]
    return [candidate(scaling, steps) for steps in lookbacks for scaling in scalings]


def _survivors(fitter: Fitter, judge: Judge, candidates: list[Candidate], deadline: float | None) -> list[Candidate]:
    """Successive halving (Jamieson and Talwalkar 2016): all a little, the better half again and longer, to the last."""
    rounds = max(1, int(np.log2(len(candidates))))
    seconds = SEARCH_SHARE * _left(deadline) / rounds
    while len(candidates) > 1:
        budget = deadline is not None
        jobs = _jobs(fitter.settings, len(candidates), seconds) if budget else PAIR
        plan = fitter.plan(candidates, seconds, budget=budget, jobs=jobs, refit=False)
        end = time.monotonic() + 1.2 * seconds if budget else None
        _, trained = fitter.train(plan, jobs=_jobs(fitter.settings, len(candidates), seconds), deadline=end)
        middle = fitter.inputs.levels.index(0.5)
        losses = [judge.mean(one.held_out.numpy()[..., middle]) for one in trained]
        order = np.argsort(np.nan_to_num(losses, nan=np.inf), kind="stable")
        candidates = [candidates[i] for i in order[: len(candidates) // 2]]
    return candidates


def _members(fitter: Fitter, candidates: list[Candidate], seconds: float, budget: bool) -> int:
    """Networks whose median forecasts: two where two cores can train them side by side, more where they are quick."""
    if fitter.settings.model != AUTO or fitter.settings.steps is not None:
        return 1
    if budget:
        return PAIR if seconds > PAYS else 1
    one = fitter.plan(candidates, seconds, budget=False, jobs=1).members[0]
    cost = one.steps * fitter.cost(candidates[0], seconds)
    return int(np.clip(PAIR * seconds // max(cost, 0.1), 1, MOST))


def _left(deadline: float | None) -> float:
    return SECONDS if deadline is None else max(deadline - time.monotonic(), 0.5)


def _jobs(settings: TrainSettings, members: int, seconds: float) -> int:
    wanted = settings.jobs or (cores() if members > 1 and seconds > PAYS else 1)
    return max(1, min(wanted, members))
