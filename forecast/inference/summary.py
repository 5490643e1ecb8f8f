"""Say in lines what forecasts, and how it compares with its candidates."""

from collections import Counter

import numpy as np

from forecast.ensemble.ensemble import CHOSEN, NETWORKS
from forecast.events.closed import closed_groups
from forecast.events.effects import NAMED, describe_effects, unseen_events
from forecast.inference.fitted import Fitted

NAIVE = {"seasonal-naive": "seasonal naive", "last": "the last value"}  # the latter where there is no season
ROUNDING = 1e-9, 1e-12  # an error below this share of the largest one, or below this, is rounding


def models_of(fitted: Fitted) -> list[str]:
    """What forecasts each series of the fit."""
    return fitted.ensemble.names(np.arange(1, len(fitted.ensemble.weights)))


def describe_fit(fitted: Fitted) -> list[str]:
    """What forecasts, and how it compares with seasonal naive on held-out values, as lines."""
    counts, series = Counter(map(counted_models, models_of(fitted))).most_common(), len(fitted.ensemble.weights) - 1
    name, count = counts[0]
    if len(counts) > 1:
        others = len(counts) - 1
        name = f"{name} for {count:,} of {series:,} series, {others} other mixture{'s' * (others > 1)} for the rest"
    sentence = verdict(fitted.config.scores, len(fitted.config.components))
    lines = [f"model    {name}", f"guard    {sentence}"]
    if fitted.config.sums:
        count = len(fitted.history) - len(fitted.ids)
        way = "are made to agree with theirs" if fitted.config.reconciles else "stay, as theirs do not lower errors"
        lines.append(f"sums     {count:,} sums were trained on; forecasts of series {way}")
    groups = closed_groups(fitted.closed, fitted.config.table)
    if groups:
        named = [f"{count:,} series {where}, always {value:g}" for count, where, value in groups[:NAMED]]
        more = f", and {len(groups) - NAMED} more" if len(groups) > NAMED else ""
        lines.append(f"closed   {'; '.join(named)}{more}")
    if fitted.effects is not None:
        unseen = unseen_events(fitted.history, fitted.config.table, fitted.effects)
        more = f"; without effect, as the past has not shown them: {', '.join(unseen[:NAMED])}" if unseen else ""
        lines.append(f"effects  {describe_effects(fitted.effects)}{more}")
    return lines


def ranking_of(fitted: Fitted) -> list[str]:
    """The candidates and the choice with their mean losses on held-out values, the best first, as lines of a table."""
    scores, metric = fitted.config.scores, fitted.settings().metric
    if not scores:
        return []
    rows = [(f"{score:.3g}", name) for name, score in sorted(scores.items(), key=lambda item: item[1])]
    width = max(len(metric), *(len(score) for score, _ in rows))
    return [f"{metric.upper():>{width}}  on held-out values", *(f"{score:>{width}}  {name}" for score, name in rows)]


def counted_models(model: str) -> str:
    """A mixture with repeated networks counted: 2 segrnn + theta for segrnn+segrnn+theta."""
    return " + ".join(f"{count} {name}" if count > 1 else name for name, count in Counter(model.split("+")).items())


def verdict(scores: dict[str, float], forecasting: int) -> str:
    """In one sentence of at most 120 characters, how good an ensemble of so many candidates is, from their scores."""
    if not scores:
        return "no values could be held out to compare candidates on"
    candidates = len(scores.keys() - {CHOSEN, NETWORKS})
    counted = f"{forecasting} of {candidates} candidates {'is' if forecasting == 1 else 'are'} used"
    rounding = max(ROUNDING[0] * max(scores.values()), ROUNDING[1])
    return f"{_compared(scores, rounding)}; {counted}"


def _compared(scores: dict[str, float], rounding: float) -> str:
    """How the choice compares; errors up to `rounding` are none."""
    chosen, label = scores[CHOSEN], next((label for label in NAIVE if label in scores), None)
    if label is None:
        return f"mean error {chosen:.3g} on held-out values"
    naive, name = scores[label], NAIVE[label]
    if naive <= rounding:
        if chosen <= rounding:
            return f"exact on held-out values, as {name} is"
        return f"mean error {chosen:.3g} on held-out values, where {name} is exact"
    percent = round(100 * (1 - chosen / naive))
    if percent == 0:
        return f"error the same as {name} on held-out values"
    share = "over 99" if percent > 99 else f"{abs(percent):,}"
    return f"error {share} % {'below' if percent > 0 else 'above'} {name} on held-out values"
