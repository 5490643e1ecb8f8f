"""What a fit tries: the candidates for a panel, and the search among them within a plan."""

import time
from collections.abc import Callable

from forecast.errors import UsageError
from forecast.evaluation.baselines import AUTOMATIC, BASELINES
from forecast.settings import TrainSettings
from forecast.training.fitting import Fitter
from forecast.training.loop import Progress, Trained
from forecast.training.plan import SECONDS, Candidate, Plan, cores

AUTO, DEFAULT = "auto", "segrnn"
PAYS = 10.0  # seconds of training from which on the start of another process pays


def is_baseline(name: str) -> bool:
    """Whether a model's name is that of a baseline: nothing is trained then."""
    return name in (*BASELINES, *AUTOMATIC)


def compared_with(settings: TrainSettings) -> tuple[str, ...]:
    """The baselines that a network is compared with; one that was asked for as the model stands alone."""
    if is_baseline(settings.model):
        return (settings.model,)
    return settings.baselines if settings.guard else ()


def train_networks(
    fitter: Fitter,
    lookback: int,
    plan: Plan | None = None,
    deadline: float | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> tuple[Plan, list[Trained]]:
    """Choose what to train, plan it and train it; the plan that comes back repeats it.

    Parameters
    ----------
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
    left = SECONDS if deadline is None else max(deadline - time.monotonic(), 0.5)
    if plan is None:
        candidates = candidates_for(settings, lookback)
        jobs = _jobs(settings, len(candidates), left)
        plan = fitter.plan(candidates, left, budget=deadline is not None, jobs=jobs, steps=settings.steps)
    elif settings.model != AUTO and any(member.model != settings.model for member in plan.members):
        found = ", ".join(sorted({member.model for member in plan.members}))
        raise UsageError(f"--model {settings.model}: the plan trains {found}; leave --model out")
    return fitter.train(plan, jobs=_jobs(settings, len(plan.members), left), deadline=deadline, on_step=on_step)


def candidates_for(settings: TrainSettings, lookback: int) -> list[Candidate]:
    """The networks to be trained, one for each member."""
    model = DEFAULT if settings.model == AUTO else settings.model
    candidate = Candidate(
        model=model, params=settings.params or {}, scaling=settings.scaling or "standard", lookback=lookback
    )
    return [candidate] * (settings.members or 1)


def _jobs(settings: TrainSettings, members: int, seconds: float) -> int:
    wanted = settings.jobs or (cores() if members > 1 and seconds > PAYS else 1)
    return max(1, min(wanted, members))
