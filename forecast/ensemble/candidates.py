"""Which networks and baselines a fit compares, the best bets first."""

from forecast.ensemble.names import AUTO, FINETUNED, FIRST_NETWORK, PRETRAINED, is_baseline
from forecast.panel.schema import Schema
from forecast.panel.season import MAX_LOOKBACK_SEASONS
from forecast.settings import ScalingName, TrainSettings
from forecast.training.plan import Candidate

TREES = "trees"
FINETUNED_LOOKBACK = 256  # steps of the past that it reads
# with at least so many training windows, networks trained from scratch beat the fine-tuned one;
# tuned on 30 development series
FEW_WINDOWS = 1000

Entry = tuple[str, ScalingName, int]
CANDIDATES: tuple[Entry, ...] = (
    (FIRST_NETWORK, "standard", 1),
    (TREES, "standard", 4),
    (TREES, "standard", 1),
    (FINETUNED, "standard", 0),
    (FIRST_NETWORK, "last", 1),
    (FIRST_NETWORK, "standard", 2),
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
"""What auto tries, the best bet first.

Model, scaling, and how many times the default lookback it reads; 0: as much of the past as there
is, up to `FINETUNED_LOOKBACK`.
"""


def compared_with(settings: TrainSettings) -> tuple[str, ...]:
    """The baselines that a fit compares with its networks.

    If the model is itself a baseline, only that one is used, but `pretrained` is compared with the
    others.
    """
    if settings.model == PRETRAINED and settings.guard:
        return tuple(dict.fromkeys([*settings.baselines, PRETRAINED]))
    if is_baseline(settings.model):
        return (settings.model,)
    return settings.baselines if settings.guard else ()


def can_learn(settings: TrainSettings, schema: Schema, series: int, windows: int) -> bool:
    """Whether networks of auto can learn from `windows` training windows of so many series.

    From few windows of a single series without other columns they learn nothing that the pretrained
    network does not know.
    """
    alone = series == 1 and not (schema.known or schema.past or settings.params)
    return not alone or windows >= FEW_WINDOWS or PRETRAINED not in settings.baselines


def candidates_for(
    settings: TrainSettings,
    schema: Schema,
    lookback: int,
    longest: int,
    season: int,
    windows: int,
) -> list[Candidate]:
    """The networks worth training, the most promising first, or only the model that is named.

    With few `windows` to train on, only the fine-tuned pretrained network can learn from them,
    unless there are covariates. Trees are worth their time where some of these are known in
    advance.
    """
    params = settings.params or {}
    few = windows < FEW_WINDOWS
    columns = schema.known or schema.past or schema.static
    entries = []
    if settings.model != AUTO:
        multiple = 0 if settings.model == FINETUNED else 1
        entries = [(settings.model, "standard", multiple)]
    elif few and not (columns or params or settings.steps):
        entries = [(FINETUNED, "standard", 0)]
    else:
        worth = {FINETUNED: few, TREES: bool(schema.known)}
        entries = [entry for entry in CANDIDATES if worth.get(entry[0], True)]

    lookbacks = _lookbacks(settings, lookback, longest, season)
    candidates: dict[str, Candidate] = {}
    for model, scaling, multiple in entries:
        candidate = Candidate(
            model=model,
            params=params,
            scaling=settings.scaling or scaling,
            lookback=lookbacks[multiple],
        )
        candidates.setdefault(candidate.key, candidate)
    tried = list(candidates.values())
    if not (params or settings.steps):
        return tried
    first = FIRST_NETWORK if settings.model == AUTO else settings.model
    scaling = tried[0].scaling
    return [one for one in tried if (one.model, one.scaling) == (first, scaling)]


def _lookbacks(settings: TrainSettings, lookback: int, longest: int, season: int) -> dict[int, int]:
    """The lookback, in steps, for each multiple that an entry of CANDIDATES may have."""
    lookbacks = dict.fromkeys((0, 1, 2, 4), lookback)
    if settings.lookback is not None:
        return lookbacks
    lookbacks[0] = max(lookback, min(FINETUNED_LOOKBACK, 2 * longest))
    if settings.steps is None:
        wider = min(2 * lookback, MAX_LOOKBACK_SEASONS * season)
        if lookback < wider <= longest:
            lookbacks[2] = lookbacks[4] = wider
        if 4 * lookback <= longest:
            lookbacks[4] = 4 * lookback
    return lookbacks
