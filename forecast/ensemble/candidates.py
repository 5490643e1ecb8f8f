"""Which networks and baselines a fit compares, the best bets first."""

from forecast.ensemble.names import AUTO, FIRST, PRETRAINED, is_baseline
from forecast.errors import Setting, UsageError, Words
from forecast.panel.season import MAX_SEASONS
from forecast.settings import ScalingName, TrainSettings
from forecast.training.plan import Candidate, Plan

FINETUNED = "finetuned"  # the pretrained network as a candidate that trains
TREES = "trees"
FINETUNED_LOOKBACK = 256  # steps of the past that it reads
FEW_WINDOWS = (
    1000  # from which on networks that start from nothing beat it; tuned on 30 development series
)

CANDIDATES: tuple[tuple[str, ScalingName, int], ...] = (
    (FIRST, "standard", 1),
    (TREES, "standard", 4),
    (TREES, "standard", 1),
    (FINETUNED, "standard", 0),
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
"""What auto tries, the best bet first: model, scaling, and how many times the default lookback it reads; 0: as much of
the past as there is, up to `FINETUNED_LOOKBACK`."""


def compared_with(settings: TrainSettings) -> tuple[str, ...]:
    """The baselines that a fit compares; a model that is a baseline stands alone, unless it is `pretrained`."""
    if settings.model == PRETRAINED and settings.guard:
        return tuple(dict.fromkeys([*settings.baselines, PRETRAINED]))
    if is_baseline(settings.model):
        return (settings.model,)
    return settings.baselines if settings.guard else ()


def candidates_for(
    settings: TrainSettings,
    lookback: int,
    longest: int,
    season: int,
    windows: int,
    columns: bool = False,
    known: bool = False,
) -> list[Candidate]:
    """The networks that are worth a try, the best bet first; where a model is named, only that one.

    With few windows only the pretrained network can learn from them, unless there are covariates, the `columns`. Trees
    are worth their time where some of these are `known` in advance.
    """
    left_out = ({FINETUNED} if windows >= FEW_WINDOWS else set()) | (set() if known else {TREES})
    listed: tuple[tuple[str, ScalingName, int], ...] = tuple(
        each for each in CANDIDATES if each[0] not in left_out
    )
    if windows < FEW_WINDOWS and not (columns or settings.params or settings.steps):
        listed = ((FINETUNED, "standard", 0),)
    if settings.model != AUTO:
        listed = ((settings.model, "standard", 0 if settings.model == FINETUNED else 1),)
    wider, free = (
        min(2 * lookback, MAX_SEASONS * season),
        settings.lookback is None and settings.steps is None,
    )
    wider = wider if free and lookback < wider <= longest else lookback
    widest = 4 * lookback if free and 4 * lookback <= longest else wider
    all_of_it = (
        lookback
        if settings.lookback is not None
        else max(lookback, min(FINETUNED_LOOKBACK, 2 * longest))
    )
    lookbacks, params = {0: all_of_it, 1: lookback, 2: wider, 4: widest}, settings.params or {}
    candidates = [
        Candidate(
            model=model,
            params=params,
            scaling=settings.scaling or scaling,
            lookback=lookbacks[multiple],
        )
        for model, scaling, multiple in listed
    ]
    if settings.params or settings.steps:
        first = FIRST if settings.model == AUTO else settings.model, candidates[0].scaling
        candidates = [
            candidate for candidate in candidates if (candidate.model, candidate.scaling) == first
        ]
    return list({candidate.key: candidate for candidate in candidates}.values())


def check_plan(plan: Plan, settings: TrainSettings) -> None:
    """Refuse a plan that trains other networks than the settings name (`UsageError`)."""
    if settings.model != AUTO and any(member.model != settings.model for member in plan.members):
        models = ", ".join(sorted({member.model for member in plan.members}))
        cure = Words("leave ", Setting("model"), " out")
        raise UsageError(
            f"the plan trains {models}", setting=Setting("model", settings.model), cure=cure
        )
